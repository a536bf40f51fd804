"""Identifiers: UUID version 7 text, made by the caller, ordered by time.

Pure: the clock and the randomness are passed in.
Source: RFC 9562 §5.7.
"""

from __future__ import annotations

RANDOM_BYTES = 10


def uuid7(unix_ms: int, random: bytes) -> str:
    """Return a version 7 UUID as canonical text from a millisecond clock and 10 random bytes."""
    text = (
        (unix_ms & 0xFFFF_FFFF_FFFF).to_bytes(6, "big")
        + bytes(((random[0] & 0x0F) | 0x70, random[1], (random[2] & 0x3F) | 0x80))
        + random[3:10]
    ).hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7_unix_ms(uuid_text: str) -> int:
    """Return the millisecond time inside a version 7 UUID."""
    return int(uuid_text[:8] + uuid_text[9:13], 16)
