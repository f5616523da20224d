"""Compiles ``cpp/``, the engine's fast part: when the package is built, and by hand after a change.

``python build_native.py`` puts the module beside the sources, for the interpreter that runs it, which
needs scikit-build-core and pybind11 (``pip install scikit-build-core pybind11 cmake ninja``).
``hatch_build.py`` does the same for a wheel, but takes no for an answer: the package does without.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Dict, List, Optional

ROOT = Path(__file__).resolve().parent
ENGINE = ROOT / "src" / "otel_tracepoints" / "engine"
MODULE = f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
#: Where there is no module, a file of this name beside the engine's says why, in a line.
REASON = "_build.txt"

#: It reads the frames of these interpreters, which are laid out differently in each.
OLDEST, NEWEST = (3, 8), (3, 14)
CMAKE = ">=3.18"
#: What CMake and Ninja have wheels for. Elsewhere pip would compile them, for half an hour.
MACHINES = ("x86_64", "aarch64", "arm64")
LONGEST = 300

LOAD = """
import importlib.util, os, sys
sys.setdlopenflags(os.RTLD_NOW)
spec = importlib.util.spec_from_file_location("otel_tracepoints.engine._native", sys.argv[1])
importlib.util.module_from_spec(spec)
"""


def obstacle() -> Optional[str]:
    """Why there is nothing to try, or None."""
    if os.environ.get("DEBUGIN_PURE_PYTHON", "").strip().lower() not in ("", "0", "false", "no", "off"):
        return "DEBUGIN_PURE_PYTHON was set when it was installed"
    if sys.implementation.name != "cpython":
        return f"it is made for CPython, and this is {platform.python_implementation()}"
    if os.name != "posix":
        return f"it is not made for {platform.system()} yet"
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return f"it is not made for Python {sys.version_info[0]}.{sys.version_info[1]} yet"
    if compiler() is None:
        named = os.environ.get("CXX")
        looked = f"CXX is {named}" if named else "c++, g++ and clang++ were looked for"
        return f"there was no C++ compiler when it was installed ({looked})"
    return None


def compiler() -> Optional[str]:
    """The C++ compiler: the one that is asked for, else the interpreter's own, else any."""
    if os.environ.get("CXX"):
        return os.environ["CXX"] if _program(os.environ["CXX"]) else None
    candidates = (sysconfig.get_config_var("CXX") or "", "c++", "g++", "clang++")
    return next((found for found in map(_program, candidates) if found), None)


def _program(command: str) -> Optional[str]:
    words = shlex.split(command)
    return shutil.which(words[0]) if words else None


def requirements() -> List[str]:
    """What has to be fetched for the build beside pyproject.toml's: programs that this machine has not."""
    if obstacle() is not None or platform.machine() not in MACHINES:
        return []
    from packaging.specifiers import SpecifierSet
    from scikit_build_core.program_search import best_program, get_cmake_programs, get_ninja_programs

    needed = []
    if best_program(get_cmake_programs(module=True), version=SpecifierSet(CMAKE)) is None:
        needed.append(f"cmake{CMAKE}")
    if best_program(get_ninja_programs(module=True), version=None) is None and not shutil.which("make"):
        needed.append("ninja")
    return needed


def attempt(folder: Path, work: Path) -> Optional[str]:
    """Build the module into a folder, in a process of its own; why that was not possible, or None."""
    why = obstacle()
    if why is not None:
        return why
    command = [sys.executable, str(ROOT / "build_native.py"), str(folder), "--work", str(work)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    output = done.stdout.decode("utf-8", "replace")
    sys.stderr.write(output)
    if done.returncode != 0:
        return f"it could not be built: {what_went_wrong(output, work)}"
    return None


def what_went_wrong(output: str, work: Path) -> str:
    """The line of a build's output that says most: the compiler's last error, CMake's first, the last."""
    for folder in (work, ROOT):
        output = output.replace(f"{folder}{os.sep}", "")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"(?:^|\s)error:", line)]
    cmakes = re.findall(r"^CMake Error[^\n]*:\n((?:\n|  [^\n]*\n)+)", f"{output}\n", re.MULTILINE)
    if errors:
        found = errors[-1]
    elif cmakes:
        # A paragraph or two, of which the first sentence tells it.
        found = re.split(r"(?<=\.)\s", " ".join(cmakes[0].split()))[0]
    else:
        found = lines[-1] if lines else "it said nothing"
    return found if len(found) <= LONGEST else f"{found[:LONGEST]}…"


def build(folder: Path, work: Path, defines: Dict[str, str]) -> None:
    """Build it, seen by whoever runs this; ends the process where that fails."""
    from scikit_build_core.builder.builder import Builder
    from scikit_build_core.cmake import CMake, CMaker
    from scikit_build_core.errors import CMakeNotFoundError, FailedLiveProcessError
    from scikit_build_core.settings.skbuild_read_settings import SettingsReader

    found = compiler()
    if found is not None:
        os.environ["CXX"] = found
    settings = SettingsReader.from_file(ROOT / "pyproject.toml", state="wheel").settings
    try:
        cmake = CMake.default_search(version=settings.cmake.version, env=os.environ)
        making = CMaker(cmake, source_dir=ROOT / "cpp", build_dir=work, build_type="Release")
        builder = Builder(settings, making)
        builder.configure(defines={"TRACEPOINTS_OUTPUT": str(folder), **defines})
        builder.build(build_args=["--parallel", str(os.cpu_count() or 1)])
    except (CMakeNotFoundError, FailedLiveProcessError) as error:
        sys.exit(str(error))
    if not os.environ.get("ARCHFLAGS") and not defines.get("TRACEPOINTS_SANITIZE"):
        # What was linked against things that are not there is better known now.
        subprocess.run([sys.executable, "-c", LOAD, str(folder / MODULE)], check=True)


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description="Compile cpp/ for this interpreter.")
    parser.add_argument("folder", nargs="?", type=Path, default=ENGINE, help="where the module goes")
    parser.add_argument("--work", type=Path, help="CMake's folder; kept, so that the next time is quick")
    parser.add_argument(
        "-D", dest="defines", action="append", default=[], metavar="NAME=VALUE", help="for CMake"
    )
    chosen = parser.parse_args()
    work = chosen.work or ROOT / "build" / str(sysconfig.get_config_var("SOABI"))
    build(chosen.folder.resolve(), work.resolve(), dict(each.split("=", 1) for each in chosen.defines))
    (chosen.folder / REASON).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
