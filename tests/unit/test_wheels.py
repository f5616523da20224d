"""The wheels that are published: one for each interpreter that the package says it supports, on each platform."""

from __future__ import annotations

import fnmatch
import pathlib
import re
from typing import List

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
WORKFLOW = ROOT / ".github" / "workflows" / "wheels.yml"
#: Where cibuildwheel runs → the ends of its build identifiers there.
PLATFORMS = {
    "ubuntu-24.04": ("manylinux_x86_64", "musllinux_x86_64"),
    "ubuntu-24.04-arm": ("manylinux_aarch64", "musllinux_aarch64"),
    "macos-15-intel": ("macosx_x86_64",),
    "macos-15": ("macosx_arm64",),
}


def supported() -> List[str]:
    """The tags of the supported interpreters, by the classifiers: ``cp38``, …, ``cp313t``."""
    versions = [int(minor) for minor in re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', PROJECT)]
    threaded = [minor for minor in versions if minor >= 13] if ":: Free Threading ::" in PROJECT else []
    return [f"cp3{minor}" for minor in versions] + [f"cp3{minor}t" for minor in threaded]


def setting(name: str) -> List[str]:
    """The words of one of cibuildwheel's settings."""
    table = PROJECT.split("[tool.cibuildwheel]")[1].split("\n[")[0]
    return re.findall(r"[\w*-]+", re.findall(rf"^{name} = (.*)$", table, re.MULTILINE)[0])


def test_classifiers_name_the_versions_from_requires_python_on() -> None:
    """The list that the others are held to has no gaps, and begins where the package does."""
    minors = [int(tag[3:]) for tag in supported() if not tag.endswith("t")]
    assert f'requires-python = ">=3.{minors[0]}"' in PROJECT
    assert minors == list(range(minors[0], minors[-1] + 1))


@pytest.mark.parametrize("tag", supported())
def test_each_supported_interpreter_has_a_wheel(tag: str) -> None:
    """Its build identifier is chosen, and not left out, on every platform that wheels are made on."""
    for ends in PLATFORMS.values():
        for end in ends:
            identifier = f"{tag}-{end}"
            assert any(fnmatch.fnmatch(identifier, pattern) for pattern in setting("build")), identifier
            assert not any(fnmatch.fnmatch(identifier, pattern) for pattern in setting("skip")), identifier


def test_no_wheel_is_made_for_an_interpreter_that_is_not_supported() -> None:
    """What is chosen is the list of the classifiers, and nothing else."""
    assert sorted(setting("build")) == sorted(f"{tag}-*" for tag in supported())


def test_cibuildwheel_is_one_that_has_them_all() -> None:
    """The oldest went with version 4 of cibuildwheel, and 3.13 without the GIL has to be asked for."""
    if not WORKFLOW.exists():
        pytest.skip("no workflow in a source distribution")
    assert re.findall(r"pypa/cibuildwheel@v(\d+)\.", WORKFLOW.read_text("utf-8")) == ["3"]
    assert "cpython-freethreading" in setting("enable")


def test_wheels_are_made_where_the_identifiers_say() -> None:
    """The platforms of this test are the runners of the workflow."""
    if not WORKFLOW.exists():
        pytest.skip("no workflow in a source distribution")
    runners = re.findall(r"runner: \[(.*)\]", WORKFLOW.read_text("utf-8"))
    assert [sorted(each.split(", ")) for each in runners] == [sorted(PLATFORMS)]
