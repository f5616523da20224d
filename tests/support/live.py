"""A running agent as a test sees it: through its REST API and through what its sink received."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import sys
import textwrap
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Tuple

import otel_tracepoints
from otel_tracepoints import Settings
from otel_tracepoints.lifecycle import launch
from tests.support.api_client import ApiClient, Reply
from tests.support.otlp_receiver import OtlpReceiver

#: A probe that is never held back by its rate.
WIDE_OPEN = {"limitPerSecond": 1e9, "burst": 10**9}


#: The fields of ``GET /points/{id}/explain``, in order.
EXPLANATION = ["summary", "state", "module", "files", "functions", "reached", "counts", "error", "eventSink"]


class Live:
    """A started agent, its client and its sink.

    Args:
        callbacks: The two redaction callbacks.
        lenient: Start from the environment instead, as ``opentelemetry-instrument`` does.
        settings: Fields of `Settings`.
    """

    def __init__(
        self,
        sink: OtlpReceiver,
        *,
        callbacks: Tuple[Any, Any] = (None, None),
        lenient: bool = False,
        **settings: Any,
    ) -> None:
        self.sink = sink
        if lenient:
            self.agent = launch({}, lenient=True)
        else:
            values = {"control_api_port": 0, "event_sink_url": sink.url, "max_overhead_percent": 100.0}
            chosen = Settings(**{**values, **settings})
            self.agent = otel_tracepoints.start(*callbacks, settings=chosen)
        address = self.agent.control_api_address
        assert address is not None
        self.api = ApiClient(f"http://127.0.0.1:{address[1]}", token=settings.get("control_api_token"))

    def tracepoint(self, target: "Target", tag: str, **fields: Any) -> Dict[str, Any]:
        """Set a tracepoint on a tagged line; rate limit wide open unless given."""
        return self._set("/tracepoints", target, tag, fields)

    def logpoint(self, target: "Target", tag: str, message: str, **fields: Any) -> Dict[str, Any]:
        """Set a logpoint on a tagged line; rate limit wide open unless given."""
        return self._set("/logpoints", target, tag, {"message": message, **fields})

    def _set(self, path: str, target: "Target", tag: str, fields: Dict[str, Any]) -> Dict[str, Any]:
        body = {"file": str(target.path), "line": target.line(tag), "rateLimit": WIDE_OPEN, **fields}
        reply = self.api.post(path, body)
        assert reply.status == 201, reply.text
        point: Dict[str, Any] = reply.json
        return point

    def point(self, point: Dict[str, Any]) -> Dict[str, Any]:
        """The point as it is now."""
        return ok(self.api.get(f"/points/{point['id']}"))

    def explain(self, point: Dict[str, Any]) -> Dict[str, Any]:
        """Why hits of a point do or do not arrive, checked for its form."""
        answer: Dict[str, Any] = ok(self.api.get(f"/points/{point['id']}/explain"))
        assert list(answer) == EXPLANATION
        assert answer["summary"] and answer["summary"][0].isupper()
        assert set(answer["module"]) == {"imported", "name"}
        shown = self.point(point)
        assert (answer["state"], answer["counts"]) == (shown["state"], shown["counts"])
        return answer

    def counts(self, point: Dict[str, Any]) -> Dict[str, int]:
        """The outcomes that are not 0."""
        return {name: n for name, n in self.point(point)["counts"].items() if n}

    def hits(self, point: Optional[Dict[str, Any]] = None, **query: Any) -> List[Dict[str, Any]]:
        """The recent hits, of one point or all."""
        if point is not None:
            query["point"] = point["id"]
        answer: List[Dict[str, Any]] = ok(self.api.get("/hits", {"limit": 1000, **query}))["hits"]
        return answer

    def logs(self, name: str) -> List[Dict[str, Any]]:
        """The log records of this event name that the sink took."""
        return [log for log in self.sink.logs() if log["event_name"] == name]

    def remove(self, point: Dict[str, Any]) -> None:
        """Delete a point."""
        assert self.api.delete(f"/points/{point['id']}").status == 204


def ok(reply: Reply) -> Any:
    """The body of an answer that must be a success."""
    assert 200 <= reply.status < 300, reply.text
    return reply.json


def refused(reply: Reply, status: int, code: str) -> Dict[str, Any]:
    """The details of an answer that must be this error, in the form that all errors have."""
    assert (reply.status, reply.code) == (status, code), reply.text
    assert set(reply.json) == {"error", "code", "details"}
    assert isinstance(reply.json["error"], str) and reply.json["error"]
    assert reply.headers["content-type"] == "application/json"
    details: Dict[str, Any] = reply.json["details"]
    assert isinstance(details, dict)
    return details


class Target:
    """Source code with ``# TAG: name`` comments, in a file; a module once imported."""

    def __init__(self, path: pathlib.Path, source: str, name: str) -> None:
        self.path = path
        self.source = textwrap.dedent(source)
        self.name = name
        path.write_text(self.source, "utf-8")
        self._module: Optional[ModuleType] = None

    def line(self, tag: str) -> int:
        """The number of the line that carries the tag."""
        for number, line in enumerate(self.source.splitlines(), 1):
            if line.rstrip().endswith(f"# TAG: {tag}"):
                return number
        raise LookupError(tag)

    @property
    def module(self) -> ModuleType:
        """The module, imported at first use."""
        if self._module is None:
            self._module = importlib.import_module(self.name)
        return self._module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


TargetMaker = Callable[[str], Target]


def target_maker(folder: pathlib.Path) -> TargetMaker:
    """A function that writes source into a fresh importable module below the folder."""
    made: List[str] = []

    def make(source: str) -> Target:
        name = f"target_{folder.name.replace('-', '_')}_{len(made)}"
        made.append(name)
        importlib.invalidate_caches()
        return Target(folder / f"{name}.py", source, name)

    return make


def forget_modules(folder: pathlib.Path) -> None:
    """Take what was imported from below the folder out of ``sys.modules``."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) if type(module) is ModuleType else None
        if isinstance(file, str) and file.startswith(str(folder)):
            del sys.modules[name]
