"""Objects of well-known libraries go through capture, conditions, watches and templates unasked.

Each library has its own way to run code when an object is merely looked at: Mock answers everything,
proxies look up what they stand for, ORM attributes send SQL, arrays compare element by element.
"""

from __future__ import annotations

import json
from typing import Any, List
from unittest import mock

import pytest
from tests.support.live import TargetMaker
from tests.support.looking import HOLD, look


def test_mock_is_not_called(live_with: Any, target: TargetMaker) -> None:
    """A MagicMock, which records every use of it, records none, and none of its attributes comes to be."""
    value = mock.MagicMock(name="service")
    (hit,) = look(live_with(), target, value)
    assert value.mock_calls == []
    assert value.method_calls == []
    assert value._mock_children.keys() <= set(mock._all_magics | {"__len__", "__iter__"})  # type: ignore[attr-defined]
    assert hit["variables"]["value"]["__tpd_type__"] == "unittest.mock.MagicMock"


def test_werkzeug_proxy_is_not_resolved(live_with: Any, target: TargetMaker) -> None:
    """A LocalProxy is shown as the proxy that it is; what it stands for is not looked up."""
    local = pytest.importorskip("werkzeug.local")
    looked_up: List[str] = []

    def current() -> Any:
        looked_up.append("looked up")
        raise RuntimeError("working outside of request context")

    (hit,) = look(live_with(), target, local.LocalProxy(current))
    assert looked_up == []
    assert hit["variables"]["value"]["__tpd_type__"] == "werkzeug.local.LocalProxy"


def test_django_lazy_object_is_not_evaluated(live_with: Any, target: TargetMaker) -> None:
    """SimpleLazyObject (``request.user``) and lazy translations stay unevaluated."""
    functional = pytest.importorskip("django.utils.functional")
    evaluated: List[str] = []

    def user() -> Any:
        evaluated.append("evaluated")
        return object()

    lazy_text = functional.lazy(user, str)()
    hits = look(live_with(), target, functional.SimpleLazyObject(user), lazy_text)
    assert evaluated == []
    assert hits[0]["variables"]["value"]["__tpd_type__"] == "django.utils.functional.SimpleLazyObject"


def test_django_queryset_sends_no_query(live_with: Any, target: TargetMaker) -> None:
    """A QuerySet, a model with deferred fields and one with an unloaded relation send no query."""
    pytest.importorskip("django")
    from django import setup
    from django.conf import settings
    from django.db import connection, models

    if not settings.configured:
        memory = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        settings.configure(DATABASES={"default": memory}, DEFAULT_AUTO_FIELD="django.db.models.AutoField")
        setup()

    class Author(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "shop"

        def __str__(self) -> str:
            raise AssertionError("__str__ ran")

    class Book(models.Model):
        name = models.CharField(max_length=20)
        author = models.ForeignKey(Author, on_delete=models.CASCADE)

        class Meta:
            app_label = "shop"

        def __str__(self) -> str:
            raise AssertionError("__str__ ran")

    with connection.schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)
    Book.objects.create(name="b", author=Author.objects.create(name="a"))
    book, deferred = Book.objects.get(), Book.objects.defer("name").get()
    live = live_with()
    queries: List[str] = []

    def record(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(record):
        hits = look(live, target, Book.objects.all(), book, deferred)
        program = target(HOLD)
        assert program.module
        watched = live.tracepoint(program, "hold", watch=["value.name", "value.author", "value.author_id"])
        program.hold(book)
        program.hold(deferred)
    assert queries == []
    assert hits[1]["variables"]["value"]["name"] == "b"
    values = [[watch["value"] for watch in hit["watches"]] for hit in live.hits(watched)]
    assert [values[0][0], values[0][2]] == ["b", 1]
    assert values[0][1].startswith("<UNSAFE_ATTRIBUTE: ")
    assert values[1][0].startswith("<UNSAFE_ATTRIBUTE: ")
    connection.close()


def test_sqlalchemy_sends_no_sql(live_with: Any, target: TargetMaker) -> None:
    """Loaded columns are shown, expired and deferred columns and unloaded relations are not fetched."""
    sa = pytest.importorskip("sqlalchemy")
    from sqlalchemy import orm

    Base: Any = orm.declarative_base()

    class User(Base):
        __tablename__ = "users"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String)
        bio = orm.deferred(sa.Column(sa.String))
        orders = orm.relationship("Order", lazy="select")

    class Order(Base):
        __tablename__ = "orders"
        id = sa.Column(sa.Integer, primary_key=True)
        user_id = sa.Column(sa.ForeignKey("users.id"))

    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    Base.metadata.create_all(engine)
    statements: List[str] = []
    with orm.Session(engine) as session:
        session.add_all([User(id=1, name="ann", bio="long", orders=[Order(id=1)]), User(id=2, name="bob")])
        session.commit()
        user, expired = session.query(User).order_by(User.id)
        session.expire(expired)
        sa.event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
        live = live_with()
        hits = look(live, target, user, User, User.name)
        program = target(HOLD)
        assert program.module
        watched = live.tracepoint(
            program,
            "hold",
            watch=["value.name", "value.bio", "value.orders"],
            condition="value.name == 'ann'",
        )
        log = live.logpoint(program, "hold", "{value.name} {value.orders}")
        program.hold(user)
        program.hold(expired)
        assert statements == []
        assert expired.name == "bob" and statements  # it would have
    engine.dispose()
    assert hits[0]["variables"]["value"]["name"] == "ann"
    assert live.counts(watched) == {"emitted": 1, "conditionError": 1}
    (hit,) = live.hits(watched)
    values = [watch["value"] for watch in hit["watches"]]
    assert values[0] == "ann"
    assert all(value.startswith("<UNSAFE_ATTRIBUTE: ") for value in values[1:])
    assert live.hits(log)[1]["message"].startswith("<UNSAFE_ATTRIBUTE: ")


def test_numpy_values(live_with: Any, target: TargetMaker) -> None:
    """Arrays show shape, element type and first values; what only numpy could compare is refused."""
    numpy = pytest.importorskip("numpy")

    class Marked(numpy.ndarray):  # type: ignore[misc, name-defined]
        def __array_finalize__(self, other: Any) -> None:
            pass

        def __getattribute__(self, name: str) -> Any:
            touched.append(name)
            return super().__getattribute__(name)

    touched: List[str] = []
    array = numpy.arange(1000.0).reshape(10, 100)
    marked = array.view(Marked)
    objects = numpy.array([object(), None], dtype=object)
    record = numpy.zeros(3, dtype=[("a", "i4"), ("b", "f8")])
    values = [array, numpy.float64(1.5), numpy.int64(7), numpy.bool_(True), objects, record, marked]
    del touched[:]
    hits = look(live_with(), target, *values)
    assert touched == []
    seen = [hit["variables"]["value"] for hit in hits]
    assert seen[0]["__tpd_type__"] == "numpy.ndarray"
    assert "(10, 100)" in seen[0]["__repr__"] and "float64" in seen[0]["__repr__"]
    assert (seen[0]["__tpd_size__"], seen[0]["__tpd_items__"][:3]) == (1000, [0.0, 1.0, 2.0])
    assert seen[1] == {"__tpd_type__": "numpy.float64", "__repr__": "1.5"}
    assert seen[2] == {"__tpd_type__": "numpy.int64", "__repr__": "7"}


def test_pandas_values(live_with: Any, target: TargetMaker) -> None:
    """Frames and series show their shape; their truth and comparison are refused, not computed."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    hits = look(
        live_with(),
        target,
        frame,
        frame["a"],
        frame.index,
        frame.groupby("b"),
        pandas.Timestamp("2026-11-20"),
    )
    text = json.dumps([hit["variables"]["value"] for hit in hits])
    assert "(3, 2)" in text and "pandas" in text


def test_attrs_classes(live_with: Any, target: TargetMaker) -> None:
    """Instances of attrs classes, with slots and without, are objects with their fields; converters do not run."""
    attr = pytest.importorskip("attr")
    Slotted = attr.make_class("Slotted", ["name", "token"], slots=True)
    Plain = attr.make_class("Plain", ["name", "token"])
    hits = look(live_with(), target, Slotted("n", "secret-1"), Plain("n", "secret-2"))
    for hit in hits:
        assert hit["variables"]["value"]["name"] == "n"
        assert hit["variables"]["value"]["token"] == "[REDACTED]"
    assert "secret-" not in json.dumps(hits)
