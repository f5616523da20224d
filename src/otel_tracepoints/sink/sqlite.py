"""The event store in a file: SQLite, in write-ahead mode, so that readers never wait for the writer."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from otel_tracepoints.errors import ConfigError
from otel_tracepoints.sink import json_text
from otel_tracepoints.sink.event import Event, EventFilter, EventPage
from otel_tracepoints.sink.store import StoreUnavailable

#: Marks a file as ours ("OTTP"), so that nobody's other database is ever written to.
_APPLICATION_ID = 0x4F545450
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    probe TEXT,
    service TEXT,
    trace TEXT,
    envelope TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (timestamp_ms DESC, sequence DESC);
CREATE INDEX events_by_probe ON events (probe);
CREATE INDEX events_by_trace ON events (trace);
"""


class SQLiteStore:
    """All events ever added, in the file at ``path``; it survives a restart.

    One connection, and one thread at a time on it.

    Raises:
        ConfigError: the file cannot be opened, or is something else than a store of this sink.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._connection = sqlite3.connect(
                path, timeout=5.0, check_same_thread=False, isolation_level=None
            )
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from None
        try:
            self._prepare()
            self._stored = int(self._connection.execute("SELECT count(*) FROM events").fetchone()[0])
        except sqlite3.Error as error:
            self._connection.close()
            raise self._unusable(str(error)) from None
        except ConfigError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        connection = self._connection
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            connection.execute("COMMIT")
        elif application != _APPLICATION_ID:
            raise self._unusable("it is a database of another program")
        elif version != _SCHEMA_VERSION:
            raise self._unusable(f"it was written by another version of the sink (schema {version})")
        connection.execute("PRAGMA journal_mode = WAL")
        # In write-ahead mode NORMAL keeps the file sound; only a power cut can lose the last events.
        connection.execute("PRAGMA synchronous = NORMAL")

    def _unusable(self, reason: str) -> ConfigError:
        return ConfigError(
            f"Events cannot be stored in {self._path!r}: {reason}. Name a file that does not exist yet, "
            "or one that this sink made, in a folder that can be written to.",
            {"variable": "--store"},
        )

    def add(self, events: Sequence[Event]) -> List[Event]:
        """See `store.EventStore`."""
        with self._using() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                new = [event for event in events if connection.execute(_INSERT, _row(event)).rowcount == 1]
                connection.execute("COMMIT")
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._stored += len(new)
        return new

    def find(self, wanted: EventFilter) -> EventPage:
        """See `store.EventStore`."""
        conditions, values = _where(wanted)
        with self._using() as connection:
            # The conditions are made of constants; what was asked for is bound, never written into them.
            count = f"SELECT count(*) FROM events{conditions}"  # noqa: S608
            total = connection.execute(count, values).fetchone()[0]
            newest = (
                f"SELECT envelope FROM events{conditions} ORDER BY timestamp_ms DESC, sequence DESC LIMIT ?"  # noqa: S608
            )
            rows = connection.execute(newest, (*values, wanted.limit)).fetchall()
        return EventPage([_event(row) for row in rows], int(total))

    def get(self, event_id: str) -> Optional[Event]:
        """See `store.EventStore`."""
        with self._using() as connection:
            row = connection.execute(
                "SELECT envelope FROM events WHERE id = ?", (_clean(event_id),)
            ).fetchone()
        return None if row is None else _event(row)

    def clear(self) -> int:
        """See `store.EventStore`."""
        with self._using() as connection:
            removed = int(connection.execute("DELETE FROM events").rowcount)
            self._stored -= removed
        return removed

    def close(self) -> None:
        """See `store.EventStore`."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._connection.close()

    @property
    def stored(self) -> int:
        """See `store.EventStore`."""
        return self._stored

    @property
    def dropped(self) -> int:
        """Always 0: a file has no oldest event that must go."""
        return 0

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("The sink is stopping.")
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise StoreUnavailable(f"{self._path}: {error}") from error


_INSERT = (
    "INSERT INTO events (id, name, timestamp_ms, probe, service, trace, envelope) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO NOTHING"
)


def _row(event: Event) -> Tuple[Any, ...]:
    return (
        event.id,
        event.name,
        event.timestamp_ms,
        _clean(event.probe),
        _clean(event.service),
        _clean(event.trace),
        json_text.dump(event.envelope()),
    )


def _event(row: Tuple[str]) -> Event:
    return Event.of_envelope(json.loads(row[0]))


def _where(wanted: EventFilter) -> Tuple[str, Tuple[Any, ...]]:
    terms = [
        ("name = ?", wanted.name),
        ("probe = ?", _clean(wanted.probe)),
        ("service = ?", _clean(wanted.service)),
        ("trace = ?", _clean(wanted.trace)),
        ("timestamp_ms >= ?", wanted.since_ms),
    ]
    used = [(term, value) for term, value in terms if value is not None]
    if not used:
        return "", ()
    return " WHERE " + " AND ".join(term for term, _ in used), tuple(value for _, value in used)


def _clean(text: Optional[str]) -> Optional[str]:
    # SQLite keeps UTF-8, which has no lone surrogates; JSON may bring some.
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")
