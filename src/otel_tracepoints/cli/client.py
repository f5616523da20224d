"""The control API over HTTP: one call, one answer, and three ways to fail.

ControlApiError
├── Refused          the API said no: its sentence, code and details
└── Unreachable      nobody answered, or somebody who is not an agent
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, Any, Dict, Iterable, Mapping, NamedTuple, Optional, Tuple

from otel_tracepoints.errors import ControlApiError

DEFAULT_URL = "http://127.0.0.1:5001"
#: Seconds for a call that is not a long poll; an agent answers within milliseconds.
TIMEOUT = 10.0
#: Bytes: a full page of the largest hits is far below; more is not an agent.
_LARGEST_ANSWER = 256 * 1024 * 1024

Query = Iterable[Tuple[str, str]]


class Answer(NamedTuple):
    """A successful answer: the body as it came, and what it says."""

    status: int
    body: bytes
    document: Dict[str, Any]


class Refused(ControlApiError):
    """The API answered in its error form; ``code``, ``details`` and ``body`` are its own."""

    def __init__(self, status: int, body: bytes, document: Dict[str, Any]) -> None:
        details = document.get("details")
        super().__init__(str(document["error"]), details if isinstance(details, dict) else {})
        self.status = status
        self.body = body
        self.code = str(document["code"])


class Unreachable(ControlApiError):
    """No agent at this address; ``advice`` says what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class Client:
    """Calls one control API.

    Args:
        url: Base address, ``http://host:port`` with an optional path.
        token: Bearer token, if the API wants one.
        timeout: Seconds to wait for an answer.
        headers: More headers for every call.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: Optional[str] = None,
        timeout: float = TIMEOUT,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None:
        self.url = base_url(url)
        self._timeout = timeout
        self._headers = {
            "Accept": "application/json",
            "User-Agent": "otel-tracepoints-cli",
            **(headers or {}),
        }
        if token:
            self._headers["Authorization"] = "Bearer " + token
        # A proxy cannot reach the user's own loopback, though many environments name one for everything.
        proxies = urllib.request.ProxyHandler({}) if _is_loopback(self.url) else urllib.request.ProxyHandler()
        self._opener = urllib.request.build_opener(proxies, _NoRedirects())

    def get(self, path: str, query: Query = (), timeout: Optional[float] = None) -> Answer:
        """`call` with GET."""
        return self.call("GET", path, query=query, timeout=timeout)

    def post(self, path: str, body: Optional[Dict[str, Any]] = None) -> Answer:
        """`call` with POST."""
        return self.call("POST", path, body)

    def call(
        self,
        method: str,
        path: str,
        body: Optional[Dict[str, Any]] = None,
        query: Query = (),
        timeout: Optional[float] = None,
    ) -> Answer:
        """Make a call and wait for its answer.

        Raises:
            Refused: the API's own error answer.
            Unreachable: no connection, no answer in time, or not an answer of a control API.
        """
        parameters = urllib.parse.urlencode(list(query), errors="surrogateescape")
        url = self.url + path + ("?" + parameters if parameters else "")
        headers = dict(self._headers)
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, allow_nan=False).encode("ascii")
        status, content = self._exchange(method, url, data, headers, timeout or self._timeout)
        return self._understand(status, content)

    def _exchange(
        self, method: str, url: str, data: Optional[bytes], headers: Dict[str, str], timeout: float
    ) -> Tuple[int, bytes]:
        try:
            # base_url let http and https through only.
            request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
            with self._opener.open(request, timeout=timeout) as response:
                return response.status, _content(response)
        except urllib.error.HTTPError as error:
            try:
                with error:
                    return error.code, _content(error)
            except (OSError, http.client.HTTPException) as failure:
                raise self._unreachable(failure, timeout) from failure
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise self._unreachable(reason, timeout) from error

    def _unreachable(self, reason: object, timeout: float) -> Unreachable:
        if isinstance(reason, TimeoutError) or "timed out" in str(reason):
            return Unreachable(
                f"{self.url} did not answer within {timeout:g} s.",
                "The process may be stopped or overloaded, or something else listens on that port.",
            )
        if isinstance(reason, ssl.SSLError):
            return Unreachable(f"No TLS connection to {self.url}: {reason}.", "Is the scheme of --url right?")
        if isinstance(reason, http.client.HTTPException):
            said = str(reason) or type(reason).__name__
            message = f"What answers at {self.url} does not speak HTTP as an agent does: {said}."
            return Unreachable(message, _ADDRESS)
        return Unreachable(f"Cannot connect to {self.url}: {_plain(reason)}.", _START + " " + _ADDRESS)

    def _understand(self, status: int, content: bytes) -> Answer:
        if status == 204 or (200 <= status < 300 and not content):
            return Answer(status, content, {})
        try:
            document = json.loads(content.decode("utf-8"))
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            if 200 <= status < 300:
                return Answer(status, content, document)
            if isinstance(document.get("error"), str) and isinstance(document.get("code"), str):
                raise Refused(status, content, document)
        raise Unreachable(
            f"What answers at {self.url} is not an agent's control API (HTTP {status}, in another form).",
            _ADDRESS,
        )


_START = "Is the service running under the agent (opentelemetry-instrument python app.py)?"
_ADDRESS = (
    "It logs the address of its control API when it starts (port 5001, or another if that was taken): "
    "give it with --url or DEBUGIN_CONTROL_API_URL."
)


def base_url(text: str) -> str:
    """The address of a control API as a base for paths; ``host:port`` is taken for ``http://host:port``.

    Raises:
        ValueError: saying what is wrong with it.
    """
    url = text.strip()
    if "://" not in url:
        url = "http://" + url
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must look like http://127.0.0.1:5001")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("it must be scheme, host, port and path only, like http://127.0.0.1:5001")
    if not url.isprintable() or " " in url:
        raise ValueError("it holds characters that no address has")
    _ = parts.port  # Raises ValueError when it is not a port.
    return url.rstrip("/")


def _content(response: IO[bytes]) -> bytes:
    # Piece by piece: up to Python 3.9 the library allocates as much as it is asked to read.
    pieces = []
    size = 0
    while size < _LARGEST_ANSWER:
        piece = response.read(65536)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _is_loopback(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plain(reason: object) -> str:
    # strerror alone: "[Errno 111]" helps nobody.
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__).rstrip(".")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An agent never redirects; following would hand the token to whoever is pointed at."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None
