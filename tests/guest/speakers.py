"""A local websocket server that speaks as a provider does, and the messages it speaks in."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.sync.server import ServerConnection, serve

from tests.guest.bodies import SECRET

SESSION = {"type": "session.created", "session": {"id": "s", "model": "gpt-realtime-2026"}}
CREATED = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}
DELTA = {
    "type": "response.output_audio_transcript.delta",
    "response_id": "resp_1",
    "delta": SECRET,
}
USAGE = {
    "input_tokens": 12, "output_tokens": 37, "total_tokens": 49,
    "input_token_details": {"text_tokens": 12},
    "output_token_details": {"text_tokens": 7, "audio_tokens": 30},
}  # fmt: skip


def done(name: str = "resp_1", **more: Any) -> dict[str, Any]:
    response = {"id": name, "status": "completed", "usage": USAGE, "output": [], **more}
    return {"type": "response.done", "response": response}


DONE = done()
TURN = [json.dumps(message) for message in (SESSION, CREATED, DELTA, DONE)]
"""All that is said in one turn."""


def turn(connection: ServerConnection) -> None:
    """Answer whatever comes with one whole turn, as long as somebody listens."""
    for _ in connection:
        for message in TURN:
            connection.send(message)


class Speaker:
    """A websocket server on 127.0.0.1 whose connections are handled by `speak`."""

    def __init__(
        self, speak: Callable[[ServerConnection], None], context: ssl.SSLContext | None = None
    ) -> None:
        self._server = serve(speak, "127.0.0.1", 0, ssl=context)
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self.hosts = {
            f"127.0.0.1:{self.port}/openai": "openai",
            f"127.0.0.1:{self.port}/google": "google",
        }
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate of 127.0.0.1; return a server's context and that of who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(host, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "local.pem"
    path.write_bytes(private + made.public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    trusting = ssl.create_default_context(cadata=made.public_bytes(pem).decode())
    return server, trusting
