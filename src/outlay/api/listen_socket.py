"""The listener's websockets: bounded messages, no URL in any log, and an end that is announced.

A listener that stops does not cut a conversation off: the application is told with a disconnect of
code `RESTARTS`, may go on sending for as long as the listener's grace lasts, and closes itself.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

RESTARTS: Final = 1012
"""The close code of a server that restarts."""
LOST: Final = 1006
"""The code of a connection that ended without a word; it is never sent."""

# At less than a warning the libraries log whole URLs, with keys in them, and frames.
_LOG: Final = logging.getLogger("uvicorn.sockets")
_LOG.setLevel(logging.WARNING)


class BoundedSocket(WebSocketsSansIOProtocol):
    """One client's websocket."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _LOG
        self.conn.logger = _LOG
        self.conn.debug = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell a loss from a close without a code."""
        if self.handshake_complete and not self.close_sent and self.conn.close_rcvd is None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": LOST})
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        """Send; an answer that refuses the socket completes its handshake."""
        await super().send(message)
        refusal = message["type"] == "websocket.http.response.body"
        if refusal and not message.get("more_body"):
            self.handshake_complete = True

    def shutdown(self) -> None:
        """Tell the application that the listener stops."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": RESTARTS})
        else:
            super().shutdown()
