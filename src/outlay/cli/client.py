"""The command line's HTTP client: one connection to one server, and errors that tell what to do.

It turns every failure into an `OutlayError`; it prints nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

from outlay.config import Settings
from outlay.errors import AuthError, OutlayError, UnavailableError

TIMEOUT_S = 60.0
DEFAULT_ENDPOINT = "http://127.0.0.1:8787"


class ServerError(OutlayError):
    """The server refused."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(
            str(error.get("message") or f"The server answered {status}."),
            where=error.get("where"),
            hint=str(error.get("hint") or "See the server's log."),
        )
        self.code = str(error.get("code") or f"http_{status}")
        self.status = status
        self.problems: list[dict[str, Any]] = error.get("problems") or []

    def as_dict(self) -> dict[str, Any]:
        """Return the error as the server said it, with every problem that it listed."""
        body = super().as_dict()
        if self.problems:
            body["error"]["problems"] = self.problems
        return body


class Client:
    """Calls the API of one server with one key."""

    def __init__(self, settings: Settings, *, timeout_s: float = TIMEOUT_S) -> None:
        self.endpoint = (settings.endpoint or DEFAULT_ENDPOINT).rstrip("/")
        if not (settings.key.isascii() and settings.key.isprintable()):
            raise AuthError("The key holds characters that no key has.", where="key")
        headers = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
        try:
            self._http = httpx.Client(
                base_url=self.endpoint, headers=headers, timeout=timeout_s, trust_env=False
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise UnavailableError(
                f"{self.endpoint!r} is not a URL: {error}.",
                hint="Give --endpoint http://HOST:PORT or set OUTLAY_ENDPOINT.",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def call(self, method: str, path: str, **parts: Any) -> Any:
        """Send a request and return the decoded JSON of its answer.

        Raises:
            UnavailableError: no server answers.
            ServerError: it answered with an error.
        """
        response = self.send(method, path, **parts)
        body = self._body(response)
        if response.status_code < 400 and not body:
            raise UnavailableError(
                f"What answers at {self.endpoint} is not an outlay server.",
                hint="Give --endpoint http://HOST:PORT or set OUTLAY_ENDPOINT.",
            )
        if response.status_code >= 400:
            error = body.get("error") if isinstance(body, dict) else None
            raise ServerError(response.status_code, error if isinstance(error, dict) else {})
        return body

    def send(self, method: str, path: str, **parts: Any) -> httpx.Response:
        """Send a request and return the answer, whatever its status."""
        try:
            return self._http.request(method, path, **parts)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError(
                f"No outlay server answers at {self.endpoint} ({type(error).__name__}).",
                hint="Start one with `outlay serve`, or name another with --endpoint.",
            ) from error

    @staticmethod
    def _body(response: httpx.Response) -> Any:
        if not response.content:
            return {}
        try:
            return response.json()
        except ValueError:
            return {}
