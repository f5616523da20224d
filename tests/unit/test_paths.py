from __future__ import annotations

import os
import zipfile

import pytest

from otel_tracepoints.probes.paths import DenyList, RealPaths, longest_suffix, segments, spelled


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/srv/shop/cart.py", ("srv", "shop", "cart.py")),
        (r"C:\src\shop\cart.py", ("src", "shop", "cart.py")),
        (r"shop\\cart.py", ("shop", "cart.py")),
        ("./shop/./cart.py", ("shop", "cart.py")),
        ("a/../shop/cart.py", ("shop", "cart.py")),
        ("../shop/cart.py", ("shop", "cart.py")),
        ("cart.py", ("cart.py",)),
        ("//", ()),
        ("", ()),
    ],
)
def test_a_path_is_split_at_either_separator_without_drive_and_dots(path, parts):
    """Both separators count, and what only says where to start from is no segment."""
    assert segments(path) == parts


def test_the_longest_suffix_of_whole_segments_wins():
    """A candidate that shares more trailing segments beats one that shares fewer."""
    paths = ["/srv/shop/cart.py", "/srv/old/cart.py", "/srv/shopcart.py"]
    match = longest_suffix(("home", "me", "shop", "cart.py"), paths)
    assert match == (2, False, ("/srv/shop/cart.py",))


def test_a_suffix_ends_at_a_segment():
    """Half a segment in common is nothing in common."""
    assert longest_suffix(("art.py",), ["/srv/cart.py"]).paths == ()
    assert longest_suffix(("op", "cart.py"), ["/srv/shop/cart.py"]).length == 1


def test_all_files_with_the_same_suffix_are_told():
    """Several equally good candidates are all answered, in a fixed order."""
    match = longest_suffix(("cart.py",), ["/b/cart.py", "/a/cart.py", "/b/cart.py"])
    assert match == (1, True, ("/a/cart.py", "/b/cart.py"))


def test_a_compiled_file_stands_for_its_source():
    """Who asks for mod.py means the mod.pyc that was shipped without it."""
    assert longest_suffix(("pkg", "mod.py"), ["/x/pkg/mod.pyc"]).whole


def test_case_counts_unless_told_otherwise():
    """Another case is another file, except where the file system is asked afterwards."""
    assert not longest_suffix(("Shop", "cart.py"), ["/srv/shop/cart.py"]).whole
    assert longest_suffix(("Shop", "Cart.py"), ["/srv/shop/cart.py"], ignore_case=True).whole
    assert spelled("/srv/shop/cart.py", ("Shop", "Cart.py")) == "/srv/Shop/Cart.py"


def test_two_links_to_one_file_are_one_file(tmp_path):
    """A file through a linked directory and through a linked file has one real path."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "mod.py").write_text("")
    (tmp_path / "linked").symlink_to(real)
    (tmp_path / "other.py").symlink_to(real / "mod.py")
    paths = RealPaths()
    expected = os.path.realpath(str(real / "mod.py"))
    assert paths.of(str(tmp_path / "linked" / "mod.py")) == expected
    assert paths.of(str(tmp_path / "other.py")) == expected
    assert paths.of(str(tmp_path / "linked" / ".." / "real" / "mod.py")) == expected


@pytest.mark.parametrize("files", [3, 30])
def test_files_that_are_learnt_together_are_the_same_files(tmp_path, files):
    """Names that were learnt at once have the real paths that each of them has by itself."""
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    for number in range(files):
        (tmp_path / "real" / "inner" / f"m{number}.py").write_text("")
    (tmp_path / "real" / "inner" / "m1.py").unlink()
    (tmp_path / "real" / "inner" / "m1.py").symlink_to(tmp_path / "real" / "inner" / "m0.py")
    wanted = [
        str(tmp_path / place / "inner" / f"m{number}.py")
        for place in ("real", "linked", ".", "real/../linked")
        for number in range(files + 1)
    ]
    wanted += [
        "m0.py",
        "/",
        "//",
        "",
        "a\0b",
        "/nowhere/a/b.py",
        str(tmp_path / "real" / "inner"),
        "/" * 5000,
    ]
    learned, asked = RealPaths(), RealPaths()
    learned.learn(wanted)
    assert [learned.of(path) for path in wanted] == [asked.of(path) for path in wanted]
    assert [asked.of(path) for path in wanted if path.startswith(str(tmp_path))] == [
        os.path.realpath(path) for path in wanted if path.startswith(str(tmp_path))
    ]


@pytest.mark.parametrize("together", [False, True])
def test_a_link_that_points_elsewhere_by_now_is_followed_anew(tmp_path, together):
    """A directory that was not asked about before is where it is now, wherever those beside it were."""
    for release in ("1", "2"):
        for package in ("pa", "pb"):
            (tmp_path / release / package).mkdir(parents=True)
    current = tmp_path / "current"
    paths = RealPaths()
    for release, package in (("1", "pa"), ("2", "pb")):
        if release == "2":
            current.unlink()
        current.symlink_to(tmp_path / release)
        names = [str(current / package / f"m{number}.py") for number in range(5)]
        if together:
            paths.learn(names)
        assert [paths.of(name) for name in names] == [os.path.realpath(name) for name in names]


def test_a_relative_name_is_found_from_the_start_directory(tmp_path, monkeypatch):
    """A program that changes its directory keeps the names it was started with."""
    (tmp_path / "x.py").write_text("")
    monkeypatch.chdir(tmp_path)
    paths = RealPaths()
    monkeypatch.chdir("/")
    assert paths.of("x.py") == os.path.realpath(str(tmp_path / "x.py"))


def test_a_name_without_a_file_stays_as_it_is(tmp_path, monkeypatch):
    """Made-up names of exec-ed code are their own identity, until such a file exists."""
    monkeypatch.chdir(tmp_path)
    paths = RealPaths()
    assert paths.of("<string>") == "<string>"
    assert paths.of("made_up.py") == "made_up.py"
    (tmp_path / "made_up.py").write_text("")
    assert paths.of("made_up.py") == os.path.realpath(str(tmp_path / "made_up.py"))


def test_a_member_of_a_relative_archive_has_a_real_path(tmp_path, monkeypatch):
    """`python app.pyz` names its code app.pyz/mod.py."""
    with zipfile.ZipFile(str(tmp_path / "app.pyz"), "w") as archive:
        archive.writestr("mod.py", "")
    monkeypatch.chdir(tmp_path)
    assert RealPaths().of("app.pyz/mod.py") == os.path.join(
        os.path.realpath(str(tmp_path)), "app.pyz", "mod.py"
    )


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\udcff.py", "/\0"])
def test_no_name_is_an_error(name):
    """Any string may be a co_filename or come from a client."""
    assert isinstance(RealPaths().of(name), str)
    assert isinstance(RealPaths().absolute(name), str)


class _Text(str):
    def __eq__(self, other):
        raise AssertionError("code of the application ran")

    __hash__ = None


def test_only_exact_text_is_kept(tmp_path):
    """A name of a class of the application is neither compared nor hashed, nor kept in its place."""
    paths = RealPaths()
    name = str(tmp_path / "mod.py")
    assert paths.of(_Text(name)) == os.path.realpath(name)
    (kept,) = paths.known()
    assert (type(kept), type(paths.of(name))) == (str, str)


@pytest.mark.parametrize(
    ("glob", "path", "denied"),
    [
        ("/srv/vendor", "/srv/vendor/a/b.py", True),
        ("/srv/vendor", "/srv/vendored/b.py", False),
        ("*/secrets/*", "/srv/secrets/keys.py", True),
        ("payments/keys.py", "/srv/payments/keys.py", True),
        ("keys.py", "/srv/monkeys.py", False),
        ("payments\\*.py", "/srv/payments/keys.py", True),
        ("/srv/*/keys.py", "/srv/a/b/keys.py", True),
        ("", "/srv/a.py", False),
        ("/srv/[ab].py", "/srv/a.py", True),
    ],
)
def test_deny_globs(glob, path, denied):
    """A glob denies whole paths, whole-segment suffixes and everything below a directory."""
    if "\\" in glob and os.sep == "/":
        glob = glob.replace("\\", "/")
    assert DenyList([glob]).denies(path) is denied
