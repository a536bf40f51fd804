"""The demo's way to the server's API: one connection, one key, errors told with their reason."""

from __future__ import annotations

from typing import Any, Final

import httpx

from outlay.errors import UnavailableError

TIMEOUT_S: Final = 30.0


class Client:
    """Calls a server; `key` may be any of its keys."""

    def __init__(self, server: str, key: str) -> None:
        self.server = server
        self._http = httpx.Client(timeout=TIMEOUT_S, trust_env=False)
        self._headers = {"Authorization": f"Bearer {key}"}

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call with a JSON body, and return the answer's.

        Raises:
            UnavailableError: no answer, or one that refuses; the message says which.
        """
        reply = self._send(method, path, json=body)
        if reply.is_error:
            raise UnavailableError(f"{method} {path} answered {reply.status_code}: {reply.text}")
        return reply.json()

    def post_events(self, body: bytes) -> tuple[int, Any]:
        """Post a JSON array of events; return the status and the answer, whatever they are.

        Raises:
            UnavailableError: no answer.
        """
        headers = {"Content-Type": "application/json"}
        reply = self._send("POST", "/v1/events", content=body, headers=headers)
        return reply.status_code, reply.json()

    def totals(self, metrics: list[str], *, since: int, until: int) -> list[int]:
        """Return sums over everything that started in a time; microseconds UTC."""
        question = {"metrics": metrics, "from": since, "to": until, "limit": 1}
        rows = self.call("POST", "/v1/query", question)["rows"]
        return [int(value or 0) for value in rows[0]] if rows else [0] * len(metrics)

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self._headers | more.pop("headers", {})
        try:
            return self._http.request(method, self.server + path, headers=headers, **more)
        except httpx.HTTPError as error:
            raise UnavailableError(f"The server does not answer: {error!r}.") from error
