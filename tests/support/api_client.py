"""A tiny JSON client for the control API: any base URL, nothing but the standard library."""

from __future__ import annotations

import http.client
import json
from typing import Any, Dict, Mapping, NamedTuple, Optional
from urllib.parse import urlencode, urlsplit


class Reply(NamedTuple):
    """An answer; ``json`` is None where there is no body; header names are lower case."""

    status: int
    json: Any
    headers: Dict[str, str]
    text: str

    @property
    def code(self) -> Optional[str]:
        """The machine code of an error answer."""
        return self.json.get("code") if isinstance(self.json, dict) else None


class ApiClient:
    """``ApiClient("http://127.0.0.1:5001").post("/tracepoints", {"file": …, "line": …})``."""

    def __init__(self, base_url: str, token: Optional[str] = None, timeout: float = 10.0) -> None:
        parts = urlsplit(base_url)
        assert parts.hostname and parts.port
        self.host, self.port = parts.hostname, parts.port
        self.token = token
        self.timeout = timeout

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Optional[Any] = None,
        headers: Optional[Mapping[str, str]] = None,
        raw: Optional[bytes] = None,
    ) -> Reply:
        """One request on a connection of its own.

        Args:
            body: JSON data, or None for no body.
            query: Mapping or pairs.
            headers: Added to, and put in place of, the usual ones; None as a value leaves one out.
            raw: Bytes of a body that is sent as it is.
        """
        sent: Dict[str, Optional[str]] = {}
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        sent.update(headers or {})
        if query:
            path += "?" + urlencode(query)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.putrequest(method, path, skip_host="Host" in sent)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if data is not None and "Content-Length" not in sent:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            response = connection.getresponse()
            text = response.read().decode("utf-8")
            answer_headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, json.loads(text) if text else None, answer_headers, text)
        finally:
            connection.close()

    def get(self, path: str, query: Optional[Any] = None, **more: Any) -> Reply:
        return self.request("GET", path, query=query, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Reply:
        return self.request("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Reply:
        return self.request("PUT", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Reply:
        return self.request("PATCH", path, body, **more)

    def delete(self, path: str, query: Optional[Any] = None, **more: Any) -> Reply:
        return self.request("DELETE", path, query=query, **more)


def both(api: ApiClient, body: Dict[str, Any], type_: str = "tracepoint") -> Reply:
    """Validate, then create: the same answer, but for the status, a generated id and the time."""
    if type_ == "logpoint":
        body = {"message": "m", **body}
    checked = api.post("/points/validate", {"type": type_, **body})
    made = api.post(f"/{type_}s", body)
    if made.status != 201:
        assert (checked.status, checked.json) == (made.status, made.json)
    else:
        assert checked.status == 200, checked.text
        differ = {"created"} if "id" in body else {"created", "id"}
        assert {**checked.json, **{key: made.json[key] for key in differ}} == made.json
        assert list(checked.json) == list(made.json)
    return made
