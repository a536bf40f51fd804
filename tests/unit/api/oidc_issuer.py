"""A real OpenID provider on loopback: HTTP, keys, codes that work once, PKCE and client secrets.

It says of itself `localhost`, so that it and a server at 127.0.0.1 are two hosts to a browser.
"""

from __future__ import annotations

import functools
import hashlib
import json
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

CLIENT = "outlay at work"
SECRET = "s3cret/with+odd:characters~"
DISCOVERY = "/.well-known/openid-configuration"
Answer = tuple[int, dict[str, str], bytes]


@functools.cache
def private_key(algorithm: str, number: int = 0, bits: int = 2048) -> Any:
    """Return a key of a sort; the same for the same number."""
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, bits)


def public_jwk(key: Any, kid: str, **more: str) -> dict[str, Any]:
    """Return a key as a provider publishes it."""
    kinds: dict[str, Any] = {"EC": ECAlgorithm, "RSA": RSAAlgorithm}
    kind = next((kinds[name] for name in kinds if type(key).__name__.startswith(name)),
                OKPAlgorithm)  # fmt: skip
    made: dict[str, Any] = json.loads(kind.to_jwk(key.public_key()))
    made.pop("key_ops", None)
    return {**made, "kid": kid, "use": "sig", **more}


class Issuer:
    """Lets in whomever `claims` name, without asking. Its parts may be bent by a test.

    Args:
        clock: microseconds UTC, as the server's.
    """

    def __init__(self, clock: Callable[[], int], *, algorithm: str = "RS256") -> None:
        self.clock = clock
        self.algorithm = algorithm
        self.kid = "first"
        self.key = private_key(algorithm)
        self.keys = [public_jwk(self.key, self.kid)]
        self.claims: dict[str, Any] = {
            "sub": "1", "email": "ann@example.com", "email_verified": True, "name": "Ann",
        }  # fmt: skip
        self.headers: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = self._sign
        self.secret = SECRET
        self.redirects: set[str] = set()
        """Where it sends people back to; nowhere else."""
        self.said: dict[str, Any] = {
            "token_endpoint_auth_methods_supported": ["client_secret_basic"]
        }
        """What discovery says beside, or instead of, the usual."""
        self.answers: dict[str, Callable[[], Answer]] = {}
        """Answers instead of those of a path."""
        self.delays: dict[str, float] = {}
        self.asked: Counter[str] = Counter()
        self.seen: list[Any] = []
        """Forms and headers of the token endpoint."""
        self._codes: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://localhost:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def rotate(self) -> None:
        """Sign by a new key, and publish only that one."""
        self.kid = "second"
        self.key = private_key(self.algorithm, 1)
        self.keys = [public_jwk(self.key, self.kid)]

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?realm=work",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": [self.algorithm],
            "unknown": {"to": "us"},
            **self.said,
        }

    def id_token_claims(self, nonce: str) -> dict[str, Any]:
        now = self.clock() // 1_000_000
        usual = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce}
        return {k: v for k, v in {**usual, **self.claims}.items() if v is not ...}

    def _sign(self, claims: dict[str, Any]) -> str:
        headers = {k: v for k, v in {"kid": self.kid, **self.headers}.items() if v is not ...}
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers=headers)

    def _authorize(self, query: dict[str, str]) -> Answer:
        wanted = {
            "realm": "work", "response_type": "code", "client_id": CLIENT,
            "code_challenge_method": "S256", "scope": "openid email profile",
        }  # fmt: skip
        assert {name: query.get(name) for name in wanted} == wanted, query
        back = query["redirect_uri"]
        assert back in self.redirects, back
        assert len(query["code_challenge"]) == 43
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        answer = urlencode({"code": code, "state": query["state"]})
        return 302, {"location": f"{back}?{answer}"}, b""

    def _token(self, form: dict[str, str], header: str) -> Answer:
        with self._lock:
            self.seen.append((form, header))
            query = self._codes.pop(form.get("code", ""), None)
        if not self._is_client(form, header):
            return _json({"error": "invalid_client"}, 401)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            query is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != query["redirect_uri"]
            or challenge != query["code_challenge"]
        ):
            return _json({"error": "invalid_grant"}, 400)
        token = self.sign(self.id_token_claims(query["nonce"]))
        return _json({"id_token": token, "access_token": "x", "token_type": "Bearer"})

    def _is_client(self, form: dict[str, str], header: str) -> bool:
        method = self.said["token_endpoint_auth_methods_supported"][0]
        if method == "client_secret_basic":
            kind, _, pair = header.partition(" ")
            name, _, secret = b64decode(pair).decode().partition(":")
            shown = unquote_plus(name), unquote_plus(secret)
            return kind == "Basic" and shown == (CLIENT, self.secret) and "client_id" not in form
        expected = self.secret if method == "client_secret_post" else None
        return not header and (form.get("client_id"), form.get("client_secret")) == (
            CLIENT,
            expected,
        )

    def answer(self, method: str, url: str, body: str, header: str) -> Answer:
        """Return the answer to one request."""
        parts = urlsplit(url)
        with self._lock:
            self.asked[parts.path] += 1
        time.sleep(self.delays.get(parts.path, 0))
        if parts.path in self.answers:
            return self.answers[parts.path]()
        if parts.path == DISCOVERY:
            return _json(self.discovery())
        if parts.path == "/keys":
            return _json({"keys": self.keys})
        if parts.path == "/authorize":
            return self._authorize(_pairs(parts.query))
        if (method, parts.path) == ("POST", "/token"):
            return self._token(_pairs(body), header)
        return 404, {}, b""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(size).decode()
                header = self.headers.get("authorization") or ""
                status, headers, content = issuer.answer(self.command, self.path, body, header)
                self.send_response(status)
                for name, value in {"content-length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True  # who asked has heard enough

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_said: Any) -> None:
                pass

        return Handler


def padded(document: dict[str, Any], size: int) -> Answer:
    """Return a document as an answer of so many bytes."""
    body = json.dumps(document).encode()
    return 200, {"content-type": "application/json"}, body + b" " * (size - len(body))


def _json(document: dict[str, Any], status: int = 200) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(document).encode()


def _pairs(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}
