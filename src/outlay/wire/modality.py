"""Gives a modality to tokens whose usage object does not name one.

Pure, over decoded JSON; it never raises. Used where an API's nature tells what the unnamed tokens
are: an image model writes images, a speech model writes audio, a transcription reads audio.
"""

from __future__ import annotations

from typing import Any, Final

from outlay.wire.base import as_count, as_dict

_PARTS: Final = (
    "text_tokens", "audio_tokens", "image_tokens", "video_tokens", "reasoning_tokens",
)  # fmt: skip


def unnamed_as(modality: str, usage: dict[str, Any], total: str, details: str) -> dict[str, Any]:
    """Return the usage object with the tokens that its details leave unnamed as a modality's.

    Args:
        modality: `image` or `audio`.
        usage: the provider's object; it stays as it is.
        total: the name of the counter, such as `output_tokens`.
        details: the name of its details.
    """
    told = as_dict(usage.get(details))
    key = f"{modality}_tokens"
    if told.get(key) is not None:
        return usage
    named = sum(max(0, as_count(told.get(part))) for part in _PARTS)
    rest = max(0, as_count(usage.get(total)) - named)
    return {**usage, details: {**told, key: rest}}
