"""OpenAI's embeddings, as numbers or as base64 of little-endian floats (what its SDK asks for)."""

from __future__ import annotations

import base64
import struct
from typing import Final

from outlay.demo.bill import Counts
from outlay.demo.openai_wire import error, headers, priced_model
from outlay.demo.prose import fraction
from outlay.demo.reply import Call, Reply, to_json
from outlay.demo.tokenizer import characters, tokens

DIMENSIONS: Final = 64
"""Length of the vectors; real ones have 1,536 numbers, which would only cost time here."""
MAX_INPUTS: Final = 2048


def embeddings(call: Call) -> Reply:
    """Answer `POST /v1/embeddings`."""
    model = priced_model(call.body)
    given = call.body.get("input")
    texts = [given] if isinstance(given, str) else given
    if (
        not isinstance(texts, list)
        or not 0 < len(texts) <= MAX_INPUTS
        or not all(isinstance(text, str) and text for text in texts)
    ):
        raise error(400, "invalid_request_error", "'$.input' is invalid.", None)
    packed = call.body.get("encoding_format") == "base64"
    used = tokens(characters(texts))
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(text, packed=packed)}
            for index, text in enumerate(texts)
        ],
        "model": model,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }
    counts = Counts(input=used)
    told = {**headers(), "openai-model": model}
    return Reply("openai", model, counts, lambda _: counts, body=to_json(body), headers=told)


def _vector(text: str, *, packed: bool) -> str | list[float]:
    numbers = [fraction(text, i) * 2 - 1 for i in range(DIMENSIONS)]
    if not packed:
        return numbers
    return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *numbers)).decode()
