"""``watch``: hits as they happen, over restarts of the service."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Optional, Tuple

import click

from otel_tracepoints.cli.client import TIMEOUT, Client, Unreachable
from otel_tracepoints.cli.hits import hit_lines
from otel_tracepoints.cli.points import point_path
from otel_tracepoints.cli.render import mapping, sequence
from otel_tracepoints.cli.screen import Screen
from otel_tracepoints.cli.session import Session, pass_session, session_options

#: Seconds of one long poll; the API allows 30.
WAIT = 25
#: Hits of one page; the most that the API gives, so that a burst is not missed.
PAGE = 1000
#: Seconds between two tries while the service is away: the first, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 3.0


@click.command("watch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--tail", type=click.IntRange(0, PAGE), default=10, show_default=True, help="Begin with the last N hits."
)
@session_options
@pass_session
def watch_hits(session: Session, ids: Tuple[str, ...], tail: int) -> None:
    """Follow the hits of all probes, or of these. Ctrl-C ends it."""
    try:
        for probe_id in ids:
            # A slip in an id would otherwise be silence for ever.
            session.client.get(point_path(probe_id))
        follower = Follower(session.client, session.screen, ids)
        follower.run(tail)
    except (KeyboardInterrupt, click.Abort):
        return


class Follower:
    """Follows ``GET /hits`` of one API for ever.

    Args:
        client: The API.
        screen: Where hits and notes go.
        ids: The points to show; none is all.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        client: Client,
        screen: Screen,
        ids: Tuple[str, ...],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._screen = screen
        self._ids = frozenset(ids)
        self._sleep = sleep
        #: The process followed: its pid, and the uptime last seen.
        self._process: Tuple[object, float] = (None, 0.0)

    def run(self, tail: int) -> None:
        """Print hits until interrupted.

        Raises:
            Unreachable: when nobody answers the first call; later ones are tried again.
            Refused: when the API refuses.
        """
        self._look()
        after: Optional[int] = self.begin(tail)
        self._screen.note(f"Watching {', '.join(sorted(self._ids)) or 'all probes'} at {self._client.url} …")
        while True:
            try:
                after = self.step(after)
            except Unreachable as error:
                self._screen.note(f"{error.message} Waiting for it to come back …")
                after = self._reconnect(after)

    def begin(self, tail: int) -> int:
        """Print the last ``tail`` hits there are; answers where to go on."""
        page = self._page([("limit", str(PAGE))], TIMEOUT)
        hits = self._wanted(page)
        self._print(hits[len(hits) - tail :] if tail < len(hits) else hits)
        return _next(page, 0)

    def step(self, after: Optional[int]) -> Optional[int]:
        """One long poll from there; answers where to go on."""
        began = time.monotonic()
        query = [("limit", str(PAGE)), ("wait", str(WAIT)), ("after", str(after or 0))]
        page = self._page(query, WAIT + TIMEOUT)
        hits = self._wanted(page)
        self._print(hits)
        missed = page.get("missed")
        if isinstance(missed, int) and missed > 0:
            self._screen.note(f"{missed} hits came too fast to be shown; the sink has them.")
        if not sequence(page, "hits"):
            if time.monotonic() - began < 1.0:
                # An API that has no long poll to spare answers at once: do not spin.
                self._sleep(1.0)
            if self._look():
                return 0
        return _next(page, after or 0)

    def _reconnect(self, after: Optional[int]) -> Optional[int]:
        pause = _FIRST_PAUSE
        while True:
            self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                restarted = self._look()
            except Unreachable:
                continue
            if restarted:
                return 0
            self._screen.note("Connected again.")
            return after

    def _look(self) -> bool:
        """Whether this is another process than before; says so, once.

        Sequence numbers begin anew in each process, so going on with the old one would be silence.
        """
        health = self._client.get("/health").document
        pid, uptime = mapping(health, "process").get("pid"), health.get("uptime")
        seen = (pid, float(uptime) if isinstance(uptime, (int, float)) else 0.0)
        before, self._process = self._process, seen
        # In a container every process may be number 1; but uptime only falls in a new one.
        if before[0] is None or (before[0] == seen[0] and seen[1] >= before[1]):
            return False
        self._screen.note(
            f"The service restarted (process {pid}); probes of before are gone, set them again."
        )
        return True

    def _page(self, query: List[Tuple[str, str]], timeout: float) -> Dict[str, Any]:
        if len(self._ids) == 1:
            query = [*query, ("point", next(iter(self._ids)))]
        return self._client.get("/hits", query, timeout=timeout).document

    def _wanted(self, page: Dict[str, Any]) -> List[Dict[str, Any]]:
        hits = [hit for hit in sequence(page, "hits") if isinstance(hit, dict)]
        return [hit for hit in hits if not self._ids or hit.get("point") in self._ids]

    def _print(self, hits: List[Dict[str, Any]]) -> None:
        for hit in hits:
            if self._screen.as_json:
                self._screen.json_line(hit)
                continue
            head, *rest = hit_lines(hit)
            self._screen.line(head, style="bold")
            for line in rest:
                self._screen.line(line)


def _next(page: Dict[str, Any], after: int) -> int:
    number = page.get("next")
    return number if isinstance(number, int) else after
