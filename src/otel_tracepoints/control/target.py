"""What the API needs of the debugger: `otel_tracepoints.debugger.Debugger` has all of it."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Protocol

from otel_tracepoints.model import ProbeType
from otel_tracepoints.probes.registry import PointFilter


class Target(Protocol):
    """The control path, as far as the API calls it. Every method may raise `TracepointsError`."""

    redact: Callable[[str], str]

    def create(self, payload: Any, type: Optional[ProbeType] = None) -> Dict[str, Any]:
        """A new point."""
        ...

    def validate(self, payload: Any) -> Dict[str, Any]:
        """What `create` would answer."""
        ...

    def point(self, id: str) -> Dict[str, Any]:
        """One point."""
        ...

    def each_point(self, wanted: PointFilter = ...) -> Iterator[Dict[str, Any]]:
        """The points that pass the filter."""
        ...

    def update(self, id: str, payload: Any) -> Dict[str, Any]:
        """Change a point."""
        ...

    def delete(self, id: str) -> None:
        """Remove a point."""
        ...

    def delete_many(self, tags: Iterable[str] = ..., *, all: bool = ...) -> int:
        """Remove points; how many."""
        ...

    def set_enabled(self, id: str, enabled: bool) -> bool:
        """Switch a point; whether it changed."""
        ...

    def set_enabled_by_tags(self, tags: Iterable[str], enabled: bool) -> int:
        """Switch points; how many changed."""
        ...

    def explain(self, id: str) -> Dict[str, Any]:
        """Why hits do or do not arrive."""
        ...

    def lines(self, file: str) -> Dict[str, Any]:
        """Lines that take a probe."""
        ...

    def hits(
        self,
        after: Optional[int] = ...,
        limit: int = ...,
        wait: float = ...,
        point: Optional[str] = ...,
    ) -> Dict[str, Any]:
        """A page of hits."""
        ...

    def on_hit(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after each hit, off the hit path, until the answer is called."""
        ...

    def sleep(self) -> str:
        """All probes off."""
        ...

    def wake(self) -> str:
        """All probes on."""
        ...

    def audit(
        self,
        action: str,
        outcome: str,
        *,
        probe_id: Optional[str] = ...,
        count: Optional[int] = ...,
        client: Optional[str] = ...,
    ) -> None:
        """Tell that a change was asked for."""
        ...
