"""Which file a client means, which of its lines take a probe, and which files take none."""

from __future__ import annotations

import importlib
import os
import pathlib
import sys
from typing import Any, Callable, Dict, Iterator

import pytest
from tests.support.api_client import ApiClient
from tests.support.live import Target, forget_modules, ok, refused
from tests.support.processes import Process

Body = Dict[str, Any]
SOURCE = "def work(n):\n    return n\n"


@pytest.fixture
def tree(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], pathlib.Path]]:
    """Writes files below a folder of ``sys.path``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, text: str = SOURCE) -> pathlib.Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in path.relative_to(tmp_path).parents:
            if str(parent) != ".":
                (tmp_path / parent / "__init__.py").touch()
        path.write_text(text, "utf-8")
        importlib.invalidate_caches()
        return path

    yield write
    forget_modules(tmp_path)


def place(api: ApiClient, file: str, line: int = 2) -> Any:
    """Where a point in this file would be: its file and state, or the refusal."""
    return api.post("/points/validate", {"file": file, "line": line})


def found(api: ApiClient, file: str, line: int = 2) -> str:
    """The file that is meant."""
    answer: str = ok(api.get("/lines", {"file": file}))["file"]
    point = ok(place(api, file, line))
    assert point["file"] == file
    if point["resolved"]:
        assert point["resolved"]["file"] == answer
    return answer


def test_a_file_is_found_by_its_real_path_and_by_each_suffix(api: ApiClient, tree: Any) -> None:
    r"""With / or \, imported or not."""
    path = tree("shop1/parts/cart1.py")
    for _ in range(2):
        for file in (
            str(path),
            "shop1/parts/cart1.py",
            "parts/cart1.py",
            "cart1.py",
            "parts\\cart1.py",
            "./parts/cart1.py",
            "C:\\work\\shop1\\parts\\cart1.py",
            str(path.parent / ".." / "parts" / "cart1.py"),
        ):
            assert found(api, file) == os.path.realpath(str(path))
        importlib.import_module("shop1.parts.cart1")


def test_whole_segments_count(api: ApiClient, tree: Any) -> None:
    """rt2.py is not cart2.py; arts/cart2.py is not parts/cart2.py, but names it."""
    path = tree("shop2/parts/cart2.py")
    importlib.import_module("shop2.parts.cart2")
    refused(place(api, "rt2.py"), 404, "FILE_NOT_FOUND")
    details = refused(place(api, "arts/cart2.py"), 404, "FILE_NOT_FOUND")
    assert details["candidates"] == [os.path.realpath(str(path))]
    refused(api.get("/lines", {"file": "rt2.py"}), 404, "FILE_NOT_FOUND")


def test_a_folder_is_no_file(api: ApiClient, tree: Any) -> None:
    """Neither by its path nor by its name, wherever below sys.path it lies."""
    path = tree("shop10/parts10/cart10.py")
    for folder in (str(path.parent), "shop10/parts10", "parts10", "shop10"):
        refused(place(api, folder, 1), 404, "FILE_NOT_FOUND")


def test_a_longer_path_than_ours_matches_by_two_segments_or_more(api: ApiClient, tree: Any) -> None:
    """The longest common suffix decides, if one file alone has it."""
    near = tree("shop3/parts/cart3.py")
    far = tree("store3/parts/cart3.py")
    importlib.import_module("shop3.parts.cart3")
    importlib.import_module("store3.parts.cart3")
    assert found(api, "/home/me/app/shop3/parts/cart3.py") == str(near)
    assert found(api, "C:\\app\\store3\\parts\\cart3.py") == str(far)
    details = refused(place(api, "/home/me/app/parts/cart3.py"), 400, "AMBIGUOUS_FILE")
    assert details["candidates"] == [str(near), str(far)]
    details = refused(place(api, "/home/me/cart3.py"), 404, "FILE_NOT_FOUND")
    assert details["candidates"] == [str(near), str(far)]


def test_several_files_are_all_named(api: ApiClient, tree: Any) -> None:
    """400 AMBIGUOUS_FILE with the candidates, for lines too; more of the path decides."""
    one, two = tree("north4/cart4.py"), tree("south4/cart4.py")
    importlib.import_module("north4.cart4")
    importlib.import_module("south4.cart4")
    for reply in (place(api, "cart4.py"), api.get("/lines", {"file": "cart4.py"})):
        details = refused(reply, 400, "AMBIGUOUS_FILE")
        assert details["candidates"] == [str(one), str(two)]
        assert str(one) in reply.json["error"]
    assert found(api, "south4/cart4.py") == str(two)


def test_links_are_one_file(api: ApiClient, tree: Any, tmp_path: pathlib.Path) -> None:
    """Symbolic links to a package lead to the real path."""
    path = tree("real5/cart5.py")
    link = tmp_path / "link5"
    link.symlink_to(path.parent, target_is_directory=True)
    importlib.import_module("link5.cart5")
    for file in (str(link / "cart5.py"), str(path), "cart5.py"):
        assert found(api, file) == os.path.realpath(str(path))
    point = ok(api.post("/tracepoints", {"file": "cart5.py", "line": 2}))
    assert (point["state"], point["resolved"]["functions"]) == ("active", ["link5.cart5.work"])


def test_the_lines_of_a_file(api: ApiClient, program: Target) -> None:
    """With the functions that hold each; def, class and decorator lines belong to their owner's body."""
    answer = ok(api.get("/lines", {"file": str(program.path)}))
    assert list(answer) == ["file", "imported", "lines"]
    assert (answer["file"], answer["imported"]) == (str(program.path), True)
    assert all(set(each) == {"line", "functions"} for each in answer["lines"])
    lines = {each["line"]: each["functions"] for each in answer["lines"]}
    assert list(lines) == sorted(lines)
    name = program.name
    assert lines[program.line("module")] == [name]
    assert lines[program.line("class")] == [f"{name}.Cart"]
    assert lines[program.line("class") - 1] == [name] or name in lines[program.line("class") - 1]
    assert f"{name}.Cart" in lines[program.line("add") - 1]
    assert lines[program.line("add")] == [f"{name}.Cart.add"]
    assert lines[program.line("inner")] == [f"{name}.outer.<locals>.inner"]
    assert f"{name}.outer" in lines[program.line("inner") - 1]
    assert program.line("comment") not in lines


@pytest.mark.parametrize("imported", [False, True])
def test_lines_are_those_that_a_create_call_accepts(api: ApiClient, tree: Any, imported: bool) -> None:
    """No more and no less, imported or not."""
    text = (
        "import functools\n\n@functools.wraps(\n    print\n)\ndef work(n,\n         m=3):\n"
        '    """A text."""\n    if n:\n        pass\n    else:\n        return [\n            i\n'
        "            for i in (1, 2)\n        ]\n    try:\n        return lambda: 3\n    finally:\n        n = 1\n"
        "\nclass C(dict,\n        metaclass=type):\n    x: int = 3\n    y: str\n    def f(self): return 1\n"
        "\nasync def a():\n    async with n:\n        await n\n\nif False:\n    dead = 1\n\nglobal_ = (1,\n    2)\n"
    )
    name = f"every6_{imported}"
    path = tree(f"{name}.py", text)
    if imported:
        importlib.import_module(name)
    answer = ok(api.get("/lines", {"file": str(path)}))
    assert answer["imported"] is imported
    listed = {each["line"]: each["functions"] for each in answer["lines"]}
    for line in range(1, text.count("\n") + 3):
        reply = place(api, str(path), line)
        assert (reply.status == 200) == (line in listed), line
        if line in listed and imported:
            assert reply.json["resolved"]["functions"] == listed[line]


def test_lines_need_a_file(api: ApiClient) -> None:
    """400 INVALID_FIELD without one, or with an empty one."""
    for query in ("", "?file=", "?file=a.py&file=b.py"):
        assert refused(api.get("/lines" + query), 400, "INVALID_FIELD")["field"] == "file"


@pytest.mark.parametrize("how", ["script", "module", "zip"])
def test_main_is_found_by_its_file(tmp_path: pathlib.Path, how: str) -> None:
    """`python app.py`, `python -m app` and `python app.pyz`: `__main__.work`, running or not."""
    text = (
        "import sys\nimport otel_tracepoints\notel_tracepoints.start(event_sink_url='none')\n"
        "def work(n):\n    return n + 1\nprint('ready', flush=True)\n"
        "for line in sys.stdin:\n    print(work(int(line)), flush=True)\n"
    )
    (tmp_path / "app8.py").write_text(text, "utf-8")
    file, command = "app8.py", [sys.executable, "app8.py"]
    if how == "module":
        command = [sys.executable, "-m", "app8"]
    elif how == "zip":
        import zipfile

        with zipfile.ZipFile(str(tmp_path / "app8.pyz"), "w") as archive:
            archive.writestr("__main__.py", text)
        file, command = "app8.pyz/__main__.py", [sys.executable, "app8.pyz"]
    process = Process(command, tmp_path, {}, "none")
    try:
        process.wait_for_line("ready")
        point = ok(process.api.post("/logpoints", {"file": file, "line": 5, "message": "{n}"}))
        assert (point["state"], point["resolved"]["functions"]) == ("active", ["__main__.work"])
        loop = ok(process.api.post("/logpoints", {"file": file, "line": 8, "message": "{line}"}))
        assert loop["resolved"]["functions"] == ["__main__"]
        for number in "123":
            process.say(number)
            process.wait_for_line(str(int(number) + 1))
        hits = ok(process.api.get("/hits", {"point": point["id"]}))["hits"]
        assert [hit["message"] for hit in hits] == ["1", "2", "3"]
        assert hits[0]["function"] == "__main__.work"
        assert ok(process.api.get(f"/points/{point['id']}/explain"))["module"]["name"] == "__main__"
    finally:
        process.kill()
