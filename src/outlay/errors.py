"""Every error outlay raises, as one tree; each has a stable code, an HTTP status and a fix hint.

    OutlayError                 500
    ├── ConfigError             500  a setting is unknown or has a bad value
    ├── BadRequestError         400  the caller's input is wrong; `where` says which part
    │   └── QueryError          400  a question names an unknown metric, dimension or filter
    ├── AuthError               401  no key, or an unknown or revoked one
    ├── ForbiddenError          403  the key may not do this
    ├── NotFoundError           404
    ├── ConflictError           409  the same id with other content
    ├── TooLargeError           413  a named bound was passed
    ├── RunStopped              402  a rule or a limit ended an agent's run
    └── UnavailableError        503  a dependency is down, locked or full; nothing was half-written
        ├── StorageFullError    507  the disk or a size bound is full
        └── StorageBusyError    503  another process holds the file

It owns the error vocabulary and nothing else: no I/O, no logging, no imports from outlay.
"""

from __future__ import annotations

from typing import Any


class OutlayError(Exception):
    """Something outlay could not do."""

    code = "internal"
    status = 500
    hint = "This is a defect in outlay: please report it with the log line."

    def __init__(
        self, message: str | None = None, *, where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.where = where
        if hint is not None:
            self.hint = hint

    @property
    def message(self) -> str:
        """What is wrong, in one sentence."""
        return str(self.args[0])

    def as_dict(self) -> dict[str, Any]:
        """Return the error as the API's JSON body carries it."""
        body = {"code": self.code, "message": self.message, "hint": self.hint}
        if self.where is not None:
            body["where"] = self.where
        return {"error": body}


class ConfigError(OutlayError):
    """A setting is unknown or has a bad value."""

    code = "bad_config"
    hint = "See docs/configuration.md for every setting."


class BadRequestError(OutlayError):
    """The request is not valid."""

    code = "bad_request"
    status = 400
    hint = "Correct the part named in `where` and send it again."


class QueryError(BadRequestError):
    """The question names something outlay does not know."""

    code = "bad_query"
    hint = "GET /v1/query/schema lists every metric, dimension and filter."


class AuthError(OutlayError):
    """No valid key was given."""

    code = "unauthenticated"
    status = 401
    hint = "Send `Authorization: Bearer ok_…`; `outlay keys create` makes a key."


class ForbiddenError(OutlayError):
    """The key may not do this."""

    code = "forbidden"
    status = 403
    hint = "Use a key with the right scope; `outlay keys list` shows scopes."


class NotFoundError(OutlayError):
    """There is no such thing."""

    code = "not_found"
    status = 404
    hint = "Check the id; a tenant-scoped key sees only its own tenant."


class ConflictError(OutlayError):
    """The same id was used with other content."""

    code = "conflict"
    status = 409
    hint = "Use a new id, or send exactly the same content."


class TooLargeError(OutlayError):
    """The request is larger than the bound."""

    code = "too_large"
    status = 413
    hint = "Split it into smaller parts."


class UnavailableError(OutlayError):
    """A part of the server cannot answer now."""

    code = "unavailable"
    status = 503
    hint = "Try again; `outlay doctor` says which part is down."


class StorageFullError(UnavailableError):
    """The disk is full; nothing of this request was written."""

    code = "storage_full"
    status = 507
    hint = "Free space on the data directory's disk, then send it again."


class StorageBusyError(UnavailableError):
    """Another process holds the data file."""

    code = "storage_busy"
    hint = "Stop the other outlay server on this data directory, or name another --data."


class RunStopped(OutlayError):  # noqa: N818 - it tells of an end that was asked for
    """An agent's run was ended by one of its rules, or by a limit.

    `outlay.agent(…)` raises it from the error that the provider's SDK made of the refusal.
    """

    code = "run_stopped"
    status = 402
    hint = "`refusal` says which rule or limit it was; `partial` is what `outlay.partial` was told."

    def __init__(
        self,
        message: str | None = None,
        *,
        refusal: Any = None,
        partial: Any = None,
        cost_nanos: int = 0,
        calls: int = 0,
        agent_path: str = "",
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        """A `core.limits.refusal.Refusal`: which rule or limit, what it allows, what is left."""
        self.partial = partial
        """What `outlay.partial` was told last in the run, or in a run below it; else `None`."""
        self.cost_nanos = cost_nanos
        """What the run has cost so far, in nano-dollars."""
        self.calls = calls
        """The calls that it made."""
        self.agent_path = agent_path
