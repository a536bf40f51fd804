"""Signature Version 4 as AWS's documents tell it, from the bytes that arrive: nothing of botocore.

A server takes the path as it came, percent-encodes it once more, and signs what it has.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

ACCESS, HIDDEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "session/token=="

_PROOF = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)"
    r"/(?P<service>[^/]+)/aws4_request, SignedHeaders=(?P<names>[a-z0-9;-]+)"
    r", Signature=(?P<signature>[0-9a-f]{64})"
)


def problem(
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    access_key: str,
    secret_key: str,
    region: str,
    service: str = "bedrock",
) -> str:
    """Return why a server would refuse a request's signature; empty if it would not."""
    came: dict[str, list[str]] = {}
    for name, value in headers:
        came.setdefault(name.lower(), []).append(" ".join(value.split()))
    proof = _PROOF.fullmatch(", ".join(came["authorization"]))
    if proof is None:
        return "malformed"
    names = proof["names"].split(";")
    if (proof["key"], proof["region"], proof["service"]) != (access_key, region, service):
        return "scope"
    if len(came["x-amz-date"]) != 1 or not came["x-amz-date"][0].startswith(proof["day"]):
        return "date"
    must = {"host"} | {name for name in came if name.startswith("x-amz-")}
    if names != sorted(names) or not must <= set(names):
        return "signed headers"
    parts = urlsplit(url)
    canonical = "\n".join(
        (
            method,
            quote(parts.path, safe="/-_.~"),
            "&".join(sorted(parts.query.split("&"))) if parts.query else "",
            *(f"{name}:{','.join(came[name])}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{proof['day']}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{came['x-amz-date'][0]}\n{scope}\n{hashed}"
    key = f"AWS4{secret_key}".encode()
    for part in (proof["day"], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    wanted = hmac.new(key, text.encode(), "sha256").hexdigest()
    return "" if hmac.compare_digest(wanted, proof["signature"]) else "signature"
