"""Which file a client means."""

from __future__ import annotations

import os
import threading

import pytest
from tests.support.shop import SHOP, load, tag

from otel_tracepoints.errors import AmbiguousFile, FileNotFound, ForbiddenFile
from otel_tracepoints.probes import search
from otel_tracepoints.probes.matching import DEFAULT_DENY
from otel_tracepoints.probes.resolver import Resolver


def test_a_loaded_file_is_matched_by_path_and_by_suffix(tree):
    """A real path, a suffix with either separator and a base name all mean the one file that fits."""
    path = tree("rshop/cart_a.py")
    load("rshop.cart_a")
    resolver = Resolver()
    for file in (path, "rshop/cart_a.py", r"rshop\cart_a.py", "cart_a.py", "./rshop/cart_a.py"):
        assert resolver.match(file) == path


def test_a_base_name_of_two_files_is_ambiguous(tree):
    """Two loaded files of one name are both told, and more of the path decides."""
    first, second = tree("rone/dup_b.py"), tree("rtwo/dup_b.py")
    load("rone.dup_b"), load("rtwo.dup_b")
    resolver = Resolver()
    with pytest.raises(AmbiguousFile) as error:
        resolver.match("dup_b.py")
    assert error.value.details == {"candidates": [first, second]}
    assert resolver.match("rtwo/dup_b.py") == second


def test_a_longer_client_path_matches_by_two_segments(tree):
    """/home/me/app/shop/cart.py of the client is /srv/shop/cart.py here."""
    path = tree("rshop/cart_c.py")
    load("rshop.cart_c")
    assert Resolver().match("/home/me/app/rshop/cart_c.py") == path
    assert Resolver().match(r"C:\me\app\rshop\cart_c.py") == path


def test_a_longer_client_path_that_fits_two_files_is_ambiguous(tree):
    """Equally long common suffixes do not decide."""
    first, second = tree("ra/rshop/cart_d.py"), tree("rb/rshop/cart_d.py")
    load("ra.rshop.cart_d"), load("rb.rshop.cart_d")
    with pytest.raises(AmbiguousFile) as error:
        Resolver().match("/home/me/app/rshop/cart_d.py")
    assert error.value.details["candidates"] == [first, second]


def test_only_the_base_name_in_common_is_not_found(tree):
    """A file of the same name elsewhere is no match, but it is named."""
    path = tree("rshop/cart_e.py")
    load("rshop.cart_e")
    with pytest.raises(FileNotFound) as error:
        Resolver().match("/home/me/other/cart_e.py")
    assert error.value.details == {"candidates": [path]}
    assert path in error.value.message


@pytest.mark.parametrize(
    "file", ["", "/", "no_such_file_anywhere.py", "/no/such.py", "a\0b.py", "x" * 5000, "../.."]
)
def test_what_is_nowhere_is_not_found(file):
    """Neither loaded, nor on sys.path, nor on disk."""
    with pytest.raises(FileNotFound) as error:
        Resolver().match(file)
    assert error.value.details == {"candidates": []}


def test_a_file_that_is_not_imported_is_found_on_the_path(tree):
    """Directly below an entry of sys.path, deeper below one, and by absolute path."""
    path = tree("rshop/sub/cart_f.py")
    resolver = Resolver()
    for file in (path, "rshop/sub/cart_f.py", "sub/cart_f.py", "cart_f.py", "/home/me/rshop/sub/cart_f.py"):
        assert resolver.match(file) == path


def test_a_file_off_the_path_is_found_on_disk(tree, tmp_path_factory, monkeypatch):
    """Absolute, or relative to the directory the process was started in."""
    directory = tmp_path_factory.mktemp("off")
    (directory / "script_g.py").write_text("x = 1\n")
    monkeypatch.chdir(directory)
    resolver = Resolver()
    expected = os.path.realpath(str(directory / "script_g.py"))
    assert resolver.match("script_g.py") == expected
    assert resolver.match(str(directory / "script_g.py")) == expected


def test_the_walk_below_the_path_is_bounded(tree, monkeypatch):
    """A huge tree below sys.path costs no more than the bound."""
    tree("rdeep/one/cart_h.py")
    monkeypatch.setattr(search, "_MAX_ENTRIES", 0)
    with pytest.raises(FileNotFound):
        Resolver().match("cart_h.py")


def test_symbolic_links_are_one_file(tree):
    """A package imported through a link is matched by either path, once."""
    path = tree("rreal/cart_i.py")
    link = os.path.join(os.path.dirname(os.path.dirname(path)), "rlinked")
    os.symlink(os.path.dirname(path), link)
    load("rlinked.cart_i")
    resolver = Resolver()
    for file in (path, os.path.join(link, "cart_i.py"), "cart_i.py"):
        assert resolver.match(file) == path
    assert resolver.resolve(path, tag(SHOP, "method")).functions == ("rlinked.cart_i.Cart.add",)


def test_another_case_matches_where_the_file_system_says_so(tree, monkeypatch):
    """On a file system that ignores case the client's spelling is as good as ours."""
    path = tree("rshop/cart_j.py")
    load("rshop.cart_j")
    with pytest.raises(FileNotFound):
        Resolver().match("RShop/Cart_J.py")
    monkeypatch.setattr(os.path, "samefile", lambda a, b: a.lower() == b.lower())
    assert Resolver().match("RShop/Cart_J.py") == path


def test_the_deny_list(tree):
    """The built-in one where none is given; a list of one's own takes its place, but for the agent."""
    path = tree("rshop/secret_k.py")
    import logging.handlers

    import opentelemetry.trace

    built_in = [
        threading.__file__,
        logging.handlers.__file__,
        "logging/handlers.py",
        opentelemetry.trace.__file__,
        "queue.py",
    ]
    for file in [*built_in, "otel_tracepoints/errors.py"]:
        with pytest.raises(ForbiddenFile):
            Resolver().match(file)
    resolver = Resolver(deny=["*/secret_k.py"])
    for file in [path, "secret_k.py", "otel_tracepoints/errors.py"]:
        with pytest.raises(ForbiddenFile):
            resolver.match(file)
    assert [resolver.match(file).rpartition("/")[2] for file in built_in][0] == "threading.py"
    assert len(DEFAULT_DENY) >= 4


def test_a_denied_file_makes_no_other_ambiguous(tree):
    """The agent's own errors.py is not what anybody can mean."""
    path = tree("rshop/errors.py")
    load("rshop.errors")
    assert Resolver(deny=["*/site-packages/*", "*/lib/python*"]).match("errors.py") == path


def test_same_file_follows_the_rules_of_match(tree):
    """A filter by file takes what a create call takes."""
    resolver = Resolver()
    assert resolver.same_file("/srv/shop/cart.py", "cart.py")
    assert resolver.same_file("/srv/shop/cart.py", r"C:\me\shop\cart.py")
    assert not resolver.same_file("/srv/shop/cart.py", "/me/other/cart.py")
    assert not resolver.same_file("/srv/shop/cart.py", "")
