"""An attempt that nobody meters, where the gateway is told to relay only (`enabled` is off)."""

from __future__ import annotations

from collections.abc import Mapping

from outlay.capture.attempt import Attempt
from outlay.capture.retries import Place
from outlay.core.limits.refusal import Refusal
from outlay.wire.base import Request


class Unmetered:
    """As `capture.attempt.Attempt` for who relays it; it sees every byte and keeps nothing."""

    __slots__ = ("call_id", "event_id", "model", "superseded")

    changed: Request | None = None
    cut = False
    edits = False
    entry = None

    def __init__(self, event_id: str, place: Place, model: str) -> None:
        self.event_id = event_id
        self.call_id = place.call_id or event_id
        self.model = model
        self.superseded = False

    async def enter_async(self) -> Refusal | None:
        """Let it pass."""
        return None

    def block(self, refusal: Refusal) -> None:
        """Do nothing."""

    def restart(self) -> None:
        """Do nothing."""

    def abandon(self) -> None:
        """Do nothing."""

    def body_with_usage(self) -> bytes | None:
        """Change nothing."""
        return None

    def response(self, status: int, headers: Mapping[str, str]) -> None:
        """Do nothing."""

    def expect(self, content_encoding: str, content_type: str) -> None:
        """Do nothing."""

    def take(self, chunk: bytes) -> bytes:
        """Return the piece."""
        return chunk

    def rest(self) -> bytes:
        """Return nothing."""
        return b""

    def end(self, *, complete: bool, error: BaseException | None = None) -> None:
        """Do nothing."""


AnyAttempt = Attempt | Unmetered
