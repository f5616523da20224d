"""Every check of this project: ``nox -s tests`` is the one that a newcomer needs.

``nox -l`` lists the others. The tests run on the interpreter that runs nox, in a fresh
environment, against the installed package; ``--force-python PATH`` takes another interpreter.
"""

from __future__ import annotations

import os
import pathlib

import nox

nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = True
# virtualenv has stopped to make environments for 3.8.
nox.options.default_venv_backend = "venv"

VERSIONS = """
import importlib.metadata, sys
for name in ("otel-tracepoints", "opentelemetry-sdk"):
    print(name, importlib.metadata.version(name))
print(sys.version, "without the GIL" if not getattr(sys, "_is_gil_enabled", lambda: True)() else "")
"""
TESTS = ["pytest>=7", "pytest-timeout", "pytest-randomly", "hypothesis"]
#: Third-party programs that the tests put probes into or beside.
TARGETS = ["httpx", "attrs"]
#: Tools and servers that it has to get along with; not all of them exist for every interpreter.
BESIDE = ["coverage", "debugpy", "gevent", "gunicorn", "uvicorn"]
#: Those that every line of is probed.
ORACLE = ["click", "attrs", "rich", "jinja2", "pygments", "networkx", "sqlglot", "lark", "parso"]


def _install(session: nox.Session, *extra: str) -> None:
    pins = os.environ.get("OTEL_TRACEPOINTS_PINS", "").split()
    # The JSON encoder of OpenTelemetry's is there for its newest versions only.
    ours = ".[cli,sink,demo]" if pins else ".[all]"
    # Hypothesis's newest is compiled, but not for every interpreter: the newest that is there, then.
    session.install(ours, *TESTS, *TARGETS, *extra, *pins, "--only-binary", "hypothesis")


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite, on this interpreter."""
    _install(session)
    session.run("python", "-c", VERSIONS)
    session.run(
        "python", "-m", "pytest", *(session.posargs or ["tests"]), env={"PYTHONDONTWRITEBYTECODE": "1"}
    )


@nox.session
def frameworks(session: nox.Session) -> None:
    """Django, FastAPI, SQLAlchemy, numpy, pandas, which ``tests`` skips: not every interpreter has them."""
    more = ("django", "fastapi", "uvicorn", "sqlalchemy", "numpy", "pandas", "openapi-spec-validator")
    _install(session, *more, *(f"opentelemetry-instrumentation-{name}" for name in more[:2]))
    files = (
        "tests/integration/test_frameworks.py",
        "tests/contract/test_capture_third_party.py",
        "tests/unit/test_capture_arrays.py",
        "tests/unit/test_control_openapi.py",
    )
    session.run("python", "-m", "pytest", *files, *session.posargs)


@nox.session
def beside(session: nox.Session) -> None:
    """The agent beside coverage.py, debugpy, gevent, gunicorn and uvicorn, as far as they install here."""
    _install(session)
    for name in BESIDE:
        command = ("python", "-m", "pip", "install", "-q", "--only-binary", ":all:", name)
        session.run(*command, success_codes=[0, 1])
    folder = pathlib.Path("tests/integration")
    files = sorted(str(path) for path in folder.glob("test_beside_*.py"))
    files += [str(folder / "test_servers.py"), str(folder / "test_multiprocessing.py")]
    session.run("python", "-m", "pytest", *files, *session.posargs)


@nox.session
def oracle(session: nox.Session) -> None:
    """Every line of real packages probed, its hits compared with the interpreter's own count; long."""
    _install(session, *ORACLE)
    session.run("python", "-m", "tests.oracle", *session.posargs)


@nox.session
def load(session: nox.Session) -> None:
    """A hundred clients, thousands of points, 500 hits a second for a minute: what holds then; minutes."""
    session.install(".[all]")
    session.run("python", "-m", "tests.load", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Ten thousand probes that come and go under traffic, on each mechanism, and what they leave; long."""
    session.install(".[all]")
    session.run("python", "-m", "tests.load.soak", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """The demo, from the installed package."""
    session.install(".[all]")
    session.run("otel-tracepoints", "demo", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install("ruff==0.17.5")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, on the package, and on the file that holds the public API to its types."""
    session.install(".[all]", "mypy==2.4.1")
    session.run("mypy")
    session.run("mypy", "tests/typing")


@nox.session
def arch(session: nox.Session) -> None:
    """The layers of docs/architecture.md."""
    session.install(".[all]", "import-linter==2.16")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """The pages, every warning an error."""
    session.install(".[all]", "-r", "docs/requirements.txt")
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, and run the demo from nothing but it."""
    session.install("build")
    out = session.create_tmp()
    session.run("python", "-m", "build", "--wheel", "--outdir", out)
    (built,) = pathlib.Path(out).glob("*.whl")
    session.install(f"otel-tracepoints[all] @ {built.as_uri()}")
    session.chdir(out)
    session.run("otel-tracepoints", "demo")


@nox.session
def bench(session: nox.Session) -> None:
    """What a probe costs, beside Datadog's where it installs: a table, and bench.json."""
    session.install(".[all]")
    if (
        session.run("python", "-m", "pip", "install", "-q", "ddtrace", success_codes=[0, 1], silent=True)
        is None
    ):
        session.log("ddtrace does not install here; the table is without it")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)
