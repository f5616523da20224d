"""A hundred clients, in a process of their own: ``python -m tests.load.crowd URL SECONDS MANNER``.

Prints, as JSON, how many requests were answered, and what went wrong. Manners: ``mixed`` is
whoever uses the API (a request a second each), ``polls`` wait for hits of a point that has none,
``follow`` reads all hits as they come, ``slow`` sends byte by byte or never reads, ``create`` and
``FILE LINES`` puts a point on each of the first lines of a file, as fast as it goes.
"""

from __future__ import annotations

import itertools
import json
import pathlib
import socket
import sys
import threading
import time
from collections import Counter
from typing import Any, Callable, Dict, List

from tests.support.api_client import ApiClient

SERVICE = pathlib.Path(__file__).with_name("service.py")
CLIENTS = 100
SLOW_CLIENTS = 20
FOLLOWERS = 5


def line_of(tag: str) -> int:
    """The number of the service's line that carries the tag."""
    for number, line in enumerate(SERVICE.read_text("utf-8").splitlines(), 1):
        if line.rstrip().endswith(f"# TAG: {tag}"):
            return number
    raise LookupError(tag)


class Crowd:
    """Clients, each in a thread, until the time is over."""

    def __init__(self, url: str, seconds: float) -> None:
        self.api = ApiClient(url, timeout=60)
        self.until = time.monotonic() + seconds
        self.statuses: Counter[int] = Counter()
        self.wrong: List[str] = []
        self.missed = 0
        self.followed = 0

    def run(self, count: int, client: Callable[[int], None]) -> None:
        """Each client in a thread; to its end."""

        def guarded(number: int) -> None:
            try:
                client(number)
            except Exception as error:  # noqa: BLE001
                self.wrong.append(repr(error))

        threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A request that must succeed; its answer."""
        reply = self.api.request(method, path, body)
        self.statuses[reply.status] += 1
        if not 200 <= reply.status < 300:
            self.wrong.append(f"{method} {path}: {reply.text[:200]}")
        return reply.json

    def mixed(self, number: int) -> None:
        """Everything that a person's tools ask for, and changes of a point of its own."""
        point = {"id": f"c{number}", "file": "service.py", "line": line_of("cold"), "message": "{number}"}
        time.sleep(number / CLIENTS * min(10.0, (self.until - time.monotonic()) / 4))
        self.ask("POST", "/logpoints", point)
        own = f"/points/c{number}"
        often = [
            ("GET", "/points", None),
            ("GET", "/hits?limit=100", None),
            ("PUT", own, {"message": "{number} again"}),
            ("GET", own, None),
            ("PATCH", own, {"tags": ["load"]}),
            ("GET", "/health", None),
        ]
        seldom = [("GET", f"{own}/explain", None), ("GET", "/lines?file=service.py", None)]
        calls = itertools.islice(itertools.cycle([*often, *often, *seldom]), number, None)
        while time.monotonic() < self.until:
            self.ask(*next(calls))
            time.sleep(1.0)
        self.ask("DELETE", own)

    def polls(self, number: int) -> None:
        """Waits for a hit that never comes."""
        while time.monotonic() < self.until - 1:
            wait = min(20.0, self.until - time.monotonic())
            begin = time.monotonic()
            page = self.ask("GET", f"/hits?point=nothing&wait={wait:.3f}")
            taken = time.monotonic() - begin
            if page["hits"] or taken < wait - 0.01:
                self.wrong.append(f"a poll of {wait:.1f} s was answered after {taken:.1f} s")

    def follow(self, number: int) -> None:
        """Reads on from where it was, and misses nothing."""
        after, last = self.ask("GET", "/hits?limit=1")["next"], None
        while time.monotonic() < self.until:
            page = self.ask("GET", f"/hits?after={after}&limit=1000&wait=1")
            sequences = [hit["sequence"] for hit in page["hits"]]
            if sequences and sequences != list(range(sequences[0], sequences[0] + len(sequences))):
                self.wrong.append("a gap in a page")
            self.missed += page["missed"]
            self.followed += len(sequences)
            after = page["next"]
            time.sleep(0.2)

    def slow(self, number: int) -> None:
        """Half of them send a request byte by byte, the others ask for much and never read."""
        with socket.create_connection((self.api.host, self.api.port), timeout=30) as sock:
            if number % 2:
                sock.sendall(b"GET /points HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
                time.sleep(max(0.0, self.until - time.monotonic()))
                return
            request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Filler: "
            for byte in itertools.chain(request, itertools.repeat(ord("x"))):
                if time.monotonic() >= self.until:
                    break
                sock.sendall(bytes([byte]))
                time.sleep(0.05)
            sock.sendall(b"\r\n\r\n")
            if not sock.recv(100).startswith(b"HTTP/1.1 200"):
                self.wrong.append("a request that came byte by byte was not answered")

    def create(self, file: str, lines: int) -> None:
        """A point on each line, from all clients at once."""
        numbers = iter(range(1, lines + 1))
        lock = threading.Lock()

        def client(number: int) -> None:
            while True:
                with lock:
                    line = next(numbers, None)
                if line is None:
                    return
                self.ask("POST", "/tracepoints", {"id": f"m{line}", "file": file, "line": line})

        self.run(CLIENTS, client)


def main(url: str, seconds: str, manner: str, *rest: str) -> None:
    crowd = Crowd(url, float(seconds))
    counts: Dict[str, int] = {"slow": SLOW_CLIENTS, "follow": FOLLOWERS}
    if manner == "create":
        crowd.create(rest[0], int(rest[1]))
    else:
        crowd.run(counts.get(manner, CLIENTS), getattr(crowd, manner))
    answer = {
        "requests": sum(crowd.statuses.values()),
        "wrong": len(crowd.wrong),
        "first": crowd.wrong[:3],
        "missed": crowd.missed,
        "followed": crowd.followed,
    }
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
