"""Both stores keep the same promises."""

from __future__ import annotations

import pathlib
import sqlite3
import threading
from typing import Any, Callable, Iterator, List

import pytest

from otel_tracepoints.errors import ConfigError
from otel_tracepoints.sink.event import Event, EventFilter
from otel_tracepoints.sink.sqlite import SQLiteStore
from otel_tracepoints.sink.store import EventStore, MemoryStore, StoreUnavailable


def event(
    number: int, at: int = 0, name: str = "probe.hit.snapshot", service: str = "shop", **payload: Any
) -> Event:
    identifier = f"00000000-0000-4000-8000-{number:012d}"
    return Event(name, at, identifier, {"applicationName": service}, {"probeId": f"p{number}", **payload})


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[EventStore]:
    """Each kind of store, empty."""
    made: EventStore = (
        MemoryStore() if request.param == "memory" else SQLiteStore(str(tmp_path / "events.db"))
    )
    yield made
    made.close()


def ids(events: List[Event]) -> List[str]:
    return [each.payload["probeId"] for each in events]


def test_newest_first_and_of_one_moment_the_last_to_come(store: EventStore) -> None:
    """Order is by the events' own time, then by arrival; ``total`` counts beyond the limit."""
    store.add([event(1, at=5), event(2, at=9)])
    store.add([event(3, at=5), event(4, at=1)])
    page = store.find(EventFilter(limit=3))
    assert (ids(page.events), page.total) == (["p2", "p3", "p1"], 4)


def test_what_comes_twice_is_kept_once(store: EventStore) -> None:
    """A repeated delivery adds nothing, and says so."""
    assert ids(store.add([event(1), event(2), event(1)])) == ["p1", "p2"]
    assert ids(store.add([event(2), event(3)])) == ["p3"]
    assert (store.stored, store.find(EventFilter()).total) == (3, 3)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(name="agent.status.started"), ["p3"]),
        (EventFilter(probe="p2"), ["p2"]),
        (EventFilter(service="bank"), ["p4"]),
        (EventFilter(trace="ab" * 16), ["p1"]),
        (EventFilter(since_ms=3), ["p4", "p3"]),
        (EventFilter(since_ms=3, service="shop"), ["p3"]),
        (EventFilter(probe="' OR 1=1 --"), []),
        (EventFilter(probe="\ud800"), []),
    ],
)
def test_filters(store: EventStore, wanted: EventFilter, expected: List[str]) -> None:
    """Each filter alone and together; ``since`` is inclusive; trace ids are one in either case."""
    store.add(
        [
            event(1, 1, traceId="AB" * 16),
            event(2, 2),
            event(3, 3, name="agent.status.started"),
            event(4, 4, service="bank"),
        ]
    )
    page = store.find(wanted)
    assert (ids(page.events), page.total) == (expected, len(expected))


def test_one_by_id_and_all_gone(store: EventStore) -> None:
    """An event is found by its id until everything is cleared."""
    store.add([event(1, snapshot={"locals": {"x": [1, None, "\ud800"]}}), event(2)])
    assert store.get(event(1).id) == event(1, snapshot={"locals": {"x": [1, None, "\ud800"]}})
    assert store.get("nope") is None
    assert (store.clear(), store.stored, store.find(EventFilter()).events, store.clear()) == (2, 0, [], 0)


def test_threads_lose_nothing(store: EventStore) -> None:
    """Four threads add and look at once: all is there, nothing raised."""
    failures: List[BaseException] = []

    def work(base: int) -> None:
        try:
            for number in range(50):
                store.add([event(base + number)])
                store.find(EventFilter(limit=1))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(base,)) for base in (0, 1000, 2000, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failures, store.stored) == ([], 200)


def test_memory_keeps_the_last_and_counts_the_rest() -> None:
    """The oldest to arrive go, and are counted as dropped."""
    store = MemoryStore(capacity=3)
    store.add([event(number, at=-number) for number in range(5)])
    assert (ids(store.find(EventFilter()).events), store.stored, store.dropped) == (["p2", "p3", "p4"], 3, 2)


def test_a_file_survives(tmp_path: pathlib.Path) -> None:
    """What was added is there after a restart, and is still not added twice."""
    path = str(tmp_path / "events.db")
    first = SQLiteStore(path)
    first.add([event(1)])
    first.close()
    first.close()
    second = SQLiteStore(path)
    assert (second.stored, second.add([event(1), event(2)])) == (1, [event(2)])
    second.close()
    with pytest.raises(StoreUnavailable):
        second.add([event(3)])


def _text(path: pathlib.Path) -> None:
    path.write_text("this is no database, and long enough to look at" * 50)


def _foreign(path: pathlib.Path) -> None:
    connection = sqlite3.connect(str(path))
    connection.execute("CREATE TABLE customers (id)")
    connection.commit()
    connection.close()


def _newer(path: pathlib.Path) -> None:
    SQLiteStore(str(path)).close()
    connection = sqlite3.connect(str(path))
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize("spoil", [_text, _foreign, _newer, pathlib.Path.mkdir])
def test_other_files_are_left_alone(tmp_path: pathlib.Path, spoil: Callable[[pathlib.Path], None]) -> None:
    """No database, another program's, a newer sink's, or a folder: a clear error, and the file as it was."""
    path = tmp_path / "events.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ConfigError, match="events.db"):
        SQLiteStore(str(path))
    assert before == (path.read_bytes() if path.is_file() else None)


def test_a_folder_that_is_not_there(tmp_path: pathlib.Path) -> None:
    """The error names the file."""
    with pytest.raises(ConfigError, match="missing"):
        SQLiteStore(str(tmp_path / "missing" / "events.db"))
