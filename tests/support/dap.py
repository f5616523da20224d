"""A debugger's front end in a hundred lines: the Debug Adapter Protocol over a socket."""

from __future__ import annotations

import json
import socket
import time
from typing import Any, BinaryIO, Callable, Dict, List, NamedTuple

Message = Dict[str, Any]


def framed(message: Message) -> bytes:
    """As it goes over the wire: the length of what follows, and JSON."""
    data = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


def read_message(stream: BinaryIO) -> Message:
    """The next message; EOFError if the other side has hung up, within one or between two."""
    length = 0
    while True:
        line = stream.readline()
        if not line:
            raise EOFError("the debugger has hung up")
        if not line.strip():
            break
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError("the debugger has hung up within a message")
    message: Message = json.loads(data)
    return message


class Stop(NamedTuple):
    """Where the program was stopped, and its locals there, as the debugger shows them."""

    reason: str
    line: int
    function: str
    variables: Dict[str, str]


class Debugger:
    """Attached to a debugpy that listens, with breakpoints set."""

    def __init__(self, port: int, file: str, breakpoints: List[int], timeout: float = 20.0) -> None:
        self._timeout = timeout
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._stream = self._socket.makefile("rb")
        self._sequence = 0
        self._unread: List[Message] = []
        self.call("initialize", adapterID="test", pathFormat="path")
        attached = self._send("attach", {"justMyCode": False, "subProcess": False})
        self._wait(lambda message: message.get("event") == "initialized")
        lines = [{"line": line} for line in breakpoints]
        answer = self.call("setBreakpoints", source={"path": file}, breakpoints=lines)
        assert all(each["verified"] for each in answer["breakpoints"]), answer
        self.call("configurationDone")
        self._wait(lambda message: message.get("request_seq") == attached)

    def __enter__(self) -> Debugger:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def stopped(self) -> Stop:
        """Wait until the program has stopped; the thread is remembered for `resume`."""
        body = self._wait(lambda message: message.get("event") == "stopped")["body"]
        self._thread = body["threadId"]
        frame = self.call("stackTrace", threadId=self._thread, levels=1)["stackFrames"][0]
        scopes = self.call("scopes", frameId=frame["id"])["scopes"]
        found = self.call("variables", variablesReference=scopes[0]["variablesReference"])["variables"]
        plain = {each["name"]: each["value"] for each in found if not each["name"].startswith("special")}
        return Stop(body["reason"], frame["line"], frame["name"], plain)

    def resume(self, how: str = "continue") -> None:
        """Go on from where it stopped: ``continue``, or a step (``next``, ``stepIn``, ``stepOut``)."""
        self.call(how, threadId=self._thread)

    def detach(self) -> None:
        """Leave; the program goes on alone."""
        self.call("disconnect", terminateDebuggee=False)

    def call(self, command: str, **arguments: Any) -> Message:
        """One request; the body of its answer."""
        sequence = self._send(command, arguments)
        answer = self._wait(lambda message: message.get("request_seq") == sequence)
        assert answer["success"], answer
        body: Message = answer.get("body") or {}
        return body

    def _send(self, command: str, arguments: Message) -> int:
        self._sequence += 1
        request = {"seq": self._sequence, "type": "request", "command": command, "arguments": arguments}
        self._socket.sendall(framed(request))
        return self._sequence

    def _wait(self, wanted: Callable[[Message], bool]) -> Message:
        deadline = time.monotonic() + self._timeout
        while True:
            for message in self._unread:
                if wanted(message):
                    self._unread.remove(message)
                    return message
            assert time.monotonic() < deadline, self._unread
            self._unread.append(read_message(self._stream))
