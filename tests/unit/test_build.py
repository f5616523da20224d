"""The package is made with or without the compiled module, and the program can say why it is without."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from typing import Any, Callable, Tuple

import pytest

from otel_tracepoints.engine import build

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("src", "cpp", "pyproject.toml", "hatch_build.py", "build_native.py", "README.md", ".gitignore")
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
LEFT_BEHIND = shutil.ignore_patterns("*.so", "_build.txt", "__pycache__", "build")

Run = Callable[..., Tuple[int, str]]


@pytest.fixture(scope="module")
def native() -> Any:
    """``build_native.py``, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("build_native", ROOT / "build_native.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the source tree, as a package is built from."""
    pytest.importorskip("hatchling")
    copy = tmp_path / "tree"
    copy.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(str(ROOT / name), str(copy / name), ignore=LEFT_BEHIND)
        elif (ROOT / name).exists():
            shutil.copy(str(ROOT / name), str(copy / name))
    return copy


@pytest.fixture
def make(tree: pathlib.Path, tmp_path: pathlib.Path) -> Run:
    """Calls one of the build backend's functions in the copy, as pip does, in these surroundings."""

    def run(function: str, **environment: str) -> Tuple[int, str]:
        code = f"import hatchling.build as b; print('made', b.{function}({str(tmp_path)!r}))"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TRACEPOINTS_")}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=str(tree),
            env={**clean, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    return run


def made(folder: pathlib.Path) -> zipfile.ZipFile:
    """The one wheel of the folder."""
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(str(wheel))


def reason_in(wheel: zipfile.ZipFile) -> str:
    """What a wheel of pure Python says."""
    assert not [name for name in wheel.namelist() if "_native" in name and not name.endswith(".pyi")]
    assert wheel.filename.endswith("-py3-none-any.whl") != FREE_THREADED
    return wheel.read("otel_tracepoints/engine/_build.txt").decode("utf-8")


def test_a_broken_compiler(make: Run, tmp_path: pathlib.Path) -> None:
    """A build that fails gives a package of pure Python, with what went wrong in one line of it."""
    status, output = make("build_wheel", CXX=shutil.which("false"))
    assert status == 0, output
    reason = reason_in(made(tmp_path))
    assert reason.startswith("it could not be built: ") and reason.count("\n") == 1
    assert str(tmp_path) not in reason


def test_no_compiler(make: Run, tmp_path: pathlib.Path) -> None:
    """Without a compiler nothing is tried, and the package says what was looked for."""
    status, output = make("build_wheel", CXX="/nowhere/c++ -O2")
    assert status == 0, output
    assert reason_in(made(tmp_path)) == (
        "there was no C++ compiler when it was installed (CXX is /nowhere/c++ -O2)\n"
    )


def test_pure_python_may_be_asked_for(make: Run, tmp_path: pathlib.Path) -> None:
    """DEBUGIN_PURE_PYTHON=1 gives a package of pure Python, which says so."""
    status, output = make("build_wheel", DEBUGIN_PURE_PYTHON="1")
    assert status == 0, output
    assert reason_in(made(tmp_path)) == "DEBUGIN_PURE_PYTHON was set when it was installed\n"


def test_the_module_may_be_required(make: Run, tmp_path: pathlib.Path) -> None:
    """With TRACEPOINTS_REQUIRE_NATIVE=1 there is no package without the module, and the error says why."""
    status, output = make("build_wheel", DEBUGIN_PURE_PYTHON="1", TRACEPOINTS_REQUIRE_NATIVE="1")
    assert status != 0
    assert "but DEBUGIN_PURE_PYTHON was set" in output
    assert not list(tmp_path.glob("*.whl"))


def test_an_editable_installation_without_it(
    make: Run, tree: pathlib.Path, tmp_path: pathlib.Path, native: Any
) -> None:
    """An editable installation is the source tree: the reason is there, and the module of before is not."""
    pytest.importorskip("editables")
    engine = tree / "src" / "otel_tracepoints" / "engine"
    (engine / native.MODULE).write_bytes(b"of before")
    status, output = make("build_editable", DEBUGIN_PURE_PYTHON="true")
    assert status == 0, output
    assert (engine / "_build.txt").read_text("utf-8").startswith("DEBUGIN_PURE_PYTHON")
    assert not (engine / native.MODULE).exists()
    assert not [name for name in made(tmp_path).namelist() if name.startswith("otel_tracepoints/")]


def test_what_is_left_in_the_tree_stays_there(make: Run, tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Neither packages nor archives of the source take in what an editable installation left behind."""
    engine = tree / "src" / "otel_tracepoints" / "engine"
    (engine / "_native.cpython-399-x86_64-linux-gnu.so").write_bytes(b"of another interpreter")
    (engine / "_build.txt").write_text("of another interpreter", "utf-8")
    assert make("build_wheel", DEBUGIN_PURE_PYTHON="1")[0] == 0
    assert "DEBUGIN_PURE_PYTHON" in reason_in(made(tmp_path))
    assert make("build_sdist")[0] == 0
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(str(archive)) as source:
        names = {name.split("/", 1)[1] for name in source.getnames()}
    assert {"cpp/CMakeLists.txt", "cpp/module.cpp", "cpp/gate/bucket.hpp", "build_native.py"} <= names
    assert not [name for name in names if name.endswith((".so", "_build.txt"))]


GCC = """[1/2] Building CXX object CMakeFiles/_native.dir/module.cpp.o
FAILED: CMakeFiles/_native.dir/module.cpp.o
{root}/cpp/module.cpp:3:10: error: 'first' was not declared
{root}/cpp/module.cpp:9:2: error: 'last' was not declared
ninja: build stopped: subcommand failed.
CMake build failed
"""
CMAKE = """-- The CXX compiler identification is unknown
CMake Error at /usr/share/cmake/FindPackageHandleStandardArgs.cmake:230 (message):
  Could NOT find Python (missing: Python_INCLUDE_DIRS
  Development.Module).  Found version "3.11"
Call Stack (most recent call first):
  CMakeLists.txt:15 (find_package)


-- Configuring incomplete, errors occurred!
CMake configuration failed
"""
PYTHON = """Traceback (most recent call last):
  File "build_native.py", line 1, in <module>
ModuleNotFoundError: No module named 'scikit_build_core'

"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (GCC, "cpp/module.cpp:9:2: error: 'last' was not declared"),
        (CMAKE, "Could NOT find Python (missing: Python_INCLUDE_DIRS Development.Module)."),
        (PYTHON, "ModuleNotFoundError: No module named 'scikit_build_core'"),
        ("", "it said nothing"),
        ("x" * 1000, "x" * 300 + "…"),
    ],
    ids=["compiler", "cmake", "python", "silence", "long"],
)
def test_the_line_that_says_most(output: str, line: str, native: Any, tmp_path: pathlib.Path) -> None:
    """Of a failed build the compiler's last error is kept, else what CMake said first, else the last line."""
    assert native.what_went_wrong(output.replace("{root}", str(native.ROOT)), tmp_path) == line


def test_interpreters_of_the_future(native: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not tried for a Python whose frames nobody has looked at, nor is anything fetched for it."""
    monkeypatch.setattr(native, "NEWEST", (3, 7))
    assert native.obstacle().startswith("it is not made for Python 3.")
    assert native.requirements() == []


def test_why_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Without the module the answer is what the installation recorded, else how to have it built."""
    monkeypatch.setattr(build, "MODULE", "otel_tracepoints.engine._not_there")
    monkeypatch.setattr(build, "REASON", tmp_path / "_build.txt")
    assert build.why_not_compiled() == build.UNKNOWN
    build.REASON.write_text("there was no compiler\n", "utf-8")
    assert build.why_not_compiled() == "there was no compiler"
    build.REASON.write_text("", "utf-8")
    assert build.why_not_compiled() == build.UNKNOWN


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import not_there_at_all", "it cannot be loaded: No module named 'not_there_at_all'"),
        ("raise SystemError('of another\\ninterpreter')", "it cannot be loaded: of another interpreter"),
        ("", None),
    ],
    ids=["import", "error", "loads"],
)
def test_a_module_that_is_there(
    source: str, why: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """A module that is there but does not load is a reason of its own; one that loads is none."""
    (tmp_path / "made_up_native.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(build, "MODULE", "made_up_native")
    importlib.invalidate_caches()
    try:
        assert build.why_not_compiled() == why
    finally:
        sys.modules.pop("made_up_native", None)
