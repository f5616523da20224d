"""A debugger's front end that counts what logpoints say, in a process of its own.

There it takes neither time nor the GIL of the process that is measured. That one asks, a line of JSON each:
``["setBreakpoints", {...}]`` is one request of the Debug Adapter Protocol and is answered with its body,
``["told", {}]`` with the number of lines that arrived as ``output`` events, once the line `LAST` has.
"""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import sys
import threading
from typing import Any, Dict, List

from tests.support.dap import Message, framed, read_message

TIMEOUT = 60.0
#: A line that comes after all others: an answer of the debugger's may overtake them.
LAST = "that was all"


def lines_told(message: Message) -> List[str]:
    """The lines of logpoints that this message brings."""
    if message.get("event") != "output":
        return []
    body = message["body"]
    # What the debugger says itself is of another category.
    return str(body["output"]).splitlines() if body.get("category") == "stdout" else []


class FrontEnd:
    """The other process, from within the one that is measured."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.dap_client", str(port)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True
        )
        self._answer()  # it is attached

    def call(self, command: str, **arguments: Any) -> Any:
        """One request; the body of its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """It leaves, and the program goes on alone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(TIMEOUT)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the debugger's front end has ended")
        return json.loads(line)


class _Session:
    """Attached to a debugpy that listens. Reads all the time, so that nothing piles up at the debugger's."""

    def __init__(self, port: int) -> None:
        self.told = 0
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._socket.settimeout(None)
        self._sequence = 0
        self._answers: Dict[int, queue.Queue[Message]] = {}
        self._initialized = threading.Event()
        self._last = threading.Semaphore(0)
        threading.Thread(target=self._read, daemon=True).start()
        self.call("initialize", adapterID="benchmark", pathFormat="path")
        attached = self._send("attach", {"justMyCode": False, "subProcess": False})
        if not self._initialized.wait(TIMEOUT):
            raise SystemExit("the debugger has not initialized")
        self.call("configurationDone")
        self._answer(attached)

    def call(self, command: str, **arguments: Any) -> Message:
        return self._answer(self._send(command, arguments))

    def all_told(self) -> int:
        if not self._last.acquire(timeout=TIMEOUT):
            raise SystemExit(f"{self.told} lines, and not the last")
        return self.told

    def _send(self, command: str, arguments: Message) -> int:
        self._sequence += 1
        self._answers[self._sequence] = queue.Queue()
        request = {"seq": self._sequence, "type": "request", "command": command, "arguments": arguments}
        self._socket.sendall(framed(request))
        return self._sequence

    def _answer(self, sequence: int) -> Message:
        answer = self._answers[sequence].get(timeout=TIMEOUT)
        del self._answers[sequence]
        if not answer["success"]:
            raise SystemExit(f"refused: {answer}")
        body: Message = answer.get("body") or {}
        return body

    def _take(self, lines: List[str]) -> None:
        for line in lines:
            if line == LAST:
                self._last.release()
            else:
                self.told += 1

    def _read(self) -> None:
        with self._socket.makefile("rb") as stream:
            while True:
                try:
                    message = read_message(stream)
                except (EOFError, OSError):
                    return
                self._take(lines_told(message))
                if message.get("event") == "initialized":
                    self._initialized.set()
                if message["type"] == "response":
                    self._answers[message["request_seq"]].put(message)


def main(arguments: List[str]) -> None:
    session = _Session(int(arguments[0]))
    print(json.dumps("attached"), flush=True)
    for line in sys.stdin:
        command, given = json.loads(line)
        if command == "told":
            print(session.all_told(), flush=True)
        else:
            print(json.dumps(session.call(command, **given)), flush=True)
    session.call("disconnect", terminateDebuggee=False)


if __name__ == "__main__":
    main(sys.argv[1:])
