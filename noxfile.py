"""Every check of this project: ``nox -s tests`` is the one that a newcomer needs.

``nox -l`` lists the others. The tests run on the interpreter that runs nox, in a fresh
environment, against the installed package; ``--force-python PATH`` takes another interpreter.
"""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import Dict, Optional

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
ENGINE = "import os, otel_tracepoints.engine as e; print(os.path.dirname(e.__file__))"
FREE_THREADED = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
COMPILED = (
    "from otel_tracepoints.engine import create_engine; assert create_engine('native').name == 'native'"
)
ASKED_FOR = (
    "from otel_tracepoints.engine.build import why_not_compiled as why; assert 'was set' in why(), why()"
)
TESTS = ["pytest>=7", "pytest-timeout", "pytest-randomly", "hypothesis"]
#: What makes packages, for the tests of that.
BUILDS = ["hatchling", "editables", "scikit-build-core", "pybind11"]
CMAKE = ["cmake>=3.18", "ninja"]
#: The tests of the module; all that hold it and Python to the same.
NATIVE_TESTS = sorted(str(path) for path in pathlib.Path("tests/unit").glob("test_native_*.py"))
NATIVELY = [*NATIVE_TESTS, "tests/contract", "-k", "native"]
#: Third-party programs that the tests put probes into or beside.
TARGETS = ["httpx", "attrs"]
#: Tools and servers that it has to get along with; not all of them exist for every interpreter.
BESIDE = ["coverage", "ddtrace", "debugpy", "gevent", "gunicorn", "uvicorn"]
#: What a probe is compared with; not all of them exist for every interpreter.
BENCHMARKED = ["ddtrace", "debugpy"]
#: Sessions that do not run it need not wait for a compiler.
PURE = {"DEBUGIN_PURE_PYTHON": "1", "TRACEPOINTS_REQUIRE_NATIVE": "0"}
#: A build without the module fails, and so do tests that find none.
REQUIRED = {"TRACEPOINTS_REQUIRE_NATIVE": "1"}
#: Those that every line of is probed.
ORACLE = ["click", "attrs", "rich", "jinja2", "pygments", "networkx", "sqlglot", "lark", "parso"]


def _install(session: nox.Session, *extra: str) -> None:
    pins = os.environ.get("OTEL_TRACEPOINTS_PINS", "").split()
    # The JSON encoder of OpenTelemetry's is there for its newest versions only.
    ours = ".[cli,sink,demo]" if pins else ".[all]"
    # Hypothesis's newest is compiled, but not for every interpreter: the newest that is there, then.
    session.install(ours, *TESTS, *BUILDS, *TARGETS, *extra, *pins, "--only-binary", "hypothesis")


def _install_wheel(session: nox.Session, *extra: str, env: Optional[Dict[str, str]] = None) -> str:
    """Build the wheel and install nothing but it; the folder that it is in."""
    out = _folder(session, "wheel")
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(out), env=env)
    (built,) = out.glob("*.whl")
    session.install(f"otel-tracepoints[all] @ {built.as_uri()}", *extra)
    return str(out)


def _folder(session: nox.Session, name: str) -> pathlib.Path:
    """An empty folder; not nox's own, which would be where tests have their files, inside of the checkout."""
    folder = pathlib.Path(session.virtualenv.location, name).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _install_checked(session: nox.Session, *defines: str) -> None:
    """Install with a module that is compiled differently."""
    session.install(".[all]", *TESTS, *BUILDS, *CMAKE, "--only-binary", "hypothesis", env=PURE)
    engine = str(session.run("python", "-c", ENGINE, silent=True)).strip()
    session.run("python", "build_native.py", engine, "--work", str(_folder(session, "cmake")), *defines)


def _plain_malloc(session: nox.Session) -> Dict[str, str]:
    """So that each object is a block of its own; without the GIL there is no such choice."""
    free_threaded = str(session.run("python", "-c", FREE_THREADED, silent=True)).strip() == "1"
    return {} if free_threaded else {"PYTHONMALLOC": "malloc"}


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
    """The agent beside coverage.py, ddtrace, debugpy, gevent, gunicorn and uvicorn, where they install."""
    _install(session)
    for name in BESIDE:
        command = ("python", "-m", "pip", "install", "-q", "--only-binary", ":all:", name)
        session.run(*command, success_codes=[0, 1])
    folder = pathlib.Path("tests/integration")
    files = sorted(str(path) for path in folder.glob("test_beside_*.py"))
    files += [str(folder / "test_servers.py"), str(folder / "test_multiprocessing.py")]
    # Datadog's plugin would watch the imports of the tests themselves.
    session.run("python", "-m", "pytest", "-p", "no:ddtrace", *files, *session.posargs)


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
    session.install(".[all]", "mypy==2.4.1", env=PURE)
    session.run("mypy")
    session.run("mypy", "tests/typing")


@nox.session
def arch(session: nox.Session) -> None:
    """The layers of docs/architecture.md."""
    session.install(".[all]", "import-linter==2.16", env=PURE)
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """The pages, every warning an error."""
    session.install(".[all]", "-r", "docs/requirements.txt", env=PURE)
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, and run the demo from nothing but it."""
    session.chdir(_install_wheel(session))
    session.run("otel-tracepoints", "demo")


@nox.session
def native(session: nox.Session) -> None:
    """The wheel of this interpreter, which must be compiled: the module's tests, and the demo on it."""
    out = _install_wheel(session, *TESTS, *BUILDS, *TARGETS, "--only-binary", "hypothesis", env=REQUIRED)
    session.run("python", "-c", COMPILED)
    session.run("python", "-m", "pytest", *(session.posargs or NATIVELY), env=REQUIRED)
    session.chdir(out)
    session.run("otel-tracepoints", "demo", env={"TRACEPOINTDEBUG_ENGINE": "native"})


@nox.session
def pure(session: nox.Session) -> None:
    """An installation that was asked to be pure Python: it says so, and its engine is Python's."""
    session.install(".[all]", *TESTS, "--only-binary", "hypothesis", env=PURE)
    session.run("python", "-c", ASKED_FOR)
    nothing = {"TRACEPOINTS_REQUIRE_NATIVE": ""}  # here it is asked to be missing
    session.run("python", "-m", "pytest", "tests/unit/test_engine_create.py", *session.posargs, env=nothing)


@nox.session
def cpp(session: nox.Session) -> None:
    """The C++ compiles without a warning."""
    session.install(*BUILDS, *CMAKE)
    out = _folder(session, "module")
    session.run("python", "build_native.py", str(out), "--work", f"{out}/cmake", "-DTRACEPOINTS_WERROR=ON")


@nox.session
def cpp_format(session: nox.Session) -> None:
    """The C++ is formatted; ``-- -i`` does it."""
    session.install("clang-format==20.1.8")
    files = sorted(str(path) for end in ("cpp", "hpp") for path in pathlib.Path("cpp").rglob(f"*.{end}"))
    session.run("clang-format", *(session.posargs or ["--dry-run", "-Werror"]), *files)


@nox.session
def sanitize(session: nox.Session) -> None:
    """The tests of the module with the compiler's checks of memory and of what is undefined.

    ``-- thread`` looks for races instead: for an interpreter without the GIL.
    """
    checks = "thread" if "thread" in session.posargs else "address,undefined"
    _install_checked(session, f"-DTRACEPOINTS_SANITIZE={checks}", "-DCMAKE_BUILD_TYPE=RelWithDebInfo")
    # The interpreter is not compiled so: the libraries have to be there before it.
    needed = ["libtsan.so"] if checks == "thread" else ["libasan.so", "libubsan.so"]
    found = [
        str(session.run("g++", f"-print-file-name={name}", external=True, silent=True)).strip()
        for name in (*needed, "libstdc++.so")
    ]
    environment = {
        "LD_PRELOAD": " ".join(found),
        **_plain_malloc(session),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own, at its end
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1 suppressions=tests/support/tsan.supp",
        **REQUIRED,
    }
    more = [each for each in session.posargs if each != "thread"]
    # What the checks say goes to standard error itself, right before the process ends.
    pytest = ("python", "-m", "pytest", "-p", "no:randomly", "--capture=sys")
    session.run(*pytest, *(more or NATIVELY), env=environment)


@nox.session
def valgrind(session: nox.Session) -> None:
    """The tests of the module under Valgrind, which is to be installed already; minutes."""
    _install_checked(session, "-DCMAKE_BUILD_TYPE=RelWithDebInfo")
    # The interpreter looks at digits that a zero has not: what is undefined then spreads to all integers.
    options = ("-q", "--error-exitcode=99", "--undef-value-errors=no")
    command = ("valgrind", *options, "--suppressions=tests/support/valgrind.supp")
    pytest = ("python", "-m", "pytest", "-p", "no:randomly", "-o", "timeout=1200")
    tests = session.posargs or NATIVE_TESTS
    session.run(*command, *pytest, *tests, env={**_plain_malloc(session), **REQUIRED}, external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """What a probe costs, beside Datadog's and debugpy where they install: a table, and bench.json.

    Where Valgrind is installed, in instructions too; ``-- --no-instructions`` is without, and quicker.
    """
    session.install(".[all]")
    for name in BENCHMARKED:
        command = ("python", "-m", "pip", "install", "-q", name)
        if session.run(*command, success_codes=[0, 1], silent=True) is None:
            session.log(f"{name} does not install here; the table is without it")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)
