"""What every recorded payload used and cost, worked out by hand.

A row is `(unit, quantity, dollars per million)`; the dollars are those that the provider's price
list said at the time of the recording, written here and never taken from our price book. `None`
for the dollars says that the catalogue has no rate: the call is then unpriced, never free. The
time is the one that the payload states; where it states none, prices did not change around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from tests.wire.sockets import GEMINI, REALTIME

Row = tuple[str, int, str | None]

UNDATED = 1_785_542_400
"""2026-08-01: three weeks before the recordings were collected, for those without a time."""
FIXTURE = "anthropic-sdk-fixture-"


class Golden(NamedTuple):
    """What one call must come to; `at` is in seconds, `stated` the provider's own dollars."""

    at: int
    rows: list[Row]
    basis: str = "catalogue"
    flags: tuple[str, ...] = ()
    stated: str = ""
    confidence: str = "exact"

    @property
    def usage(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for unit, quantity, _ in self.rows:
            total[unit] = total.get(unit, 0) + quantity
        return total

    @property
    def nanos(self) -> list[int]:
        """Each row on its own, rounded half to even: a quantity times $1 a million is 1000."""
        exact = [Decimal(quantity) * Decimal(usd or 0) * 1000 for _, quantity, usd in self.rows]
        return [int(nanos.to_integral_value(rounding=ROUND_HALF_EVEN)) for nanos in exact]

    @property
    def cost(self) -> int:
        return int(Decimal(self.stated) * 10**9) if self.stated else sum(self.nanos)


SOL_WRITE = [("input", 8, "5"), ("input_cache_write", 4012, "6.25")]
SOL_READ = [("input", 8, "5"), ("input_cache_read", 4012, "0.50")]
NO_MODEL = ("unpriced", "unknown_model")


def unpriced(at: int, *counts: tuple[str, int], flags: tuple[str, ...] = NO_MODEL) -> Golden:
    rows: list[Row] = [(unit, quantity, None) for unit, quantity in counts]
    return Golden(at, rows, "unpriced", flags, confidence="unknown")


HTTP: dict[str, Golden] = {
    # -- Anthropic: input excludes what is cached; hidden calls are rows of their own ------------
    # Sonnet 5 at 2 / 10, its adviser Opus 4.8 at 5 / 25; 47 of the 135 are thinking
    "anthropic-advisor-stream-0": Golden(UNDATED, [
        ("input", 1128, "2"), ("output", 88, "10"), ("output_reasoning", 47, "10"),
        ("input", 2543, "5"), ("output", 18, "25"),
        ("input", 1283, "2"), ("output", 10, "10"),
    ]),
    "anthropic-cache-0": Golden(UNDATED, [
        ("input", 3, "3"), ("input_cache_read", 1111, "0.30"), ("output", 406, "15"),
    ]),
    # a five-minute write costs 3 x 1.25
    "anthropic-cache-1": Golden(UNDATED, [
        ("input", 3, "3"), ("input_cache_read", 1111, "0.30"),
        ("input_cache_write_5m", 418, "3.75"), ("output", 33, "15"),
    ]),
    # 99 % of it is the compaction, which the top-level counts leave out
    "anthropic-compaction-0": Golden(UNDATED, [
        ("input", 100, "3"), ("input_cache_write_5m", 55_096, "3.75"), ("output", 131, "15"),
        ("input", 229, "3"), ("output", 5, "15"),
    ]),
    # recorded beside a count of tokens, but itself a message
    "anthropic-count-tokens-1": Golden(UNDATED, [
        ("input", 3, "3"), ("input_cache_read", 1111, "0.30"), ("output", 414, "15"),
    ]),
    # an EU profile of Haiku 4.5 costs 1 / 5 x 1.1
    "anthropic-on-bedrock-0": Golden(UNDATED, [
        ("input", 3, "1.10"), ("input_cache_read", 9511, "0.11"), ("output", 1944, "5.50"),
    ]),
    "anthropic-on-bedrock-1": Golden(UNDATED, [
        ("input", 3, "1.10"), ("input_cache_read", 9511, "0.11"),
        ("input_cache_write_5m", 1956, "1.375"), ("output", 44, "5.50"),
    ]),
    "anthropic-thinking-stream-0": Golden(UNDATED, [("input", 43, "3"), ("output", 282, "15")]),
    # not the 2,050 of the first event, not the sum; $10 a thousand searches
    "anthropic-websearch-stream-0": Golden(UNDATED, [
        ("input", 31_772, "3"), ("output", 644, "15"), ("web_search", 2, "10000"),
    ]),
    f"{FIXTURE}basic": Golden(UNDATED, [("input", 11, "15"), ("output", 6, "75")]),
    f"{FIXTURE}compaction": Golden(UNDATED, [("input", 30, "5"), ("output", 8, "25")]),
    f"{FIXTURE}fable-stream-a-refusal": Golden(UNDATED, [
        ("input", 28, "10"), ("output", 39, "50"), ("output_reasoning", 67, "50"),
    ]),
    f"{FIXTURE}fable-stream-a-toolrefusal": Golden(UNDATED, [
        ("input", 28, "10"), ("output", 39, "50"), ("output_reasoning", 67, "50"),
    ]),
    # asked of Fable 5, answered and charged as Opus 4.8
    f"{FIXTURE}fable-stream-b-fallback": Golden(UNDATED, [
        ("input", 31, "5"), ("output", 547, "25"),
    ]),
    f"{FIXTURE}fallback": Golden(UNDATED, [("input", 25, "3"), ("output", 8, "15")]),
    f"{FIXTURE}fallback_credit": Golden(UNDATED, [("input", 25, "3"), ("output", 8, "15")]),
    f"{FIXTURE}refusal": Golden(UNDATED, [("input", 20, "5")]),
    f"{FIXTURE}tool_use": Golden(UNDATED, [("input", 377, "3"), ("output", 65, "15")]),
    # -- Bedrock: a `us.` profile of Sonnet 4.5 costs 3 / 15 x 1.1 -------------------------------
    "bedrock-cache-0": Golden(UNDATED, [
        ("input", 2, "3.30"), ("input_cache_write_5m", 1322, "4.125"), ("output", 5, "16.50"),
    ]),
    "bedrock-cache-1": Golden(UNDATED, [
        ("input", 2, "3.30"), ("input_cache_read", 1322, "0.33"), ("output", 5, "16.50"),
    ]),
    "bedrock-converse-stream-0": Golden(UNDATED, [("input", 13, "0.035"), ("output", 82, "0.14")]),
    "bedrock-stream-cancel-0": Golden(UNDATED, [("input", 13, "0.035"), ("output", 85, "0.14")]),
    "bedrock-embed-titan-0": Golden(UNDATED, [("input", 5, "0.02")]),
    # the catalogue lists neither of them for AWS
    "bedrock-embed-cohere-0": unpriced(UNDATED, ("input", 4)),
    "bedrock-embed-nova-0": unpriced(UNDATED, ("input", 19)),
    # the OpenAI-shaped endpoint leaves the `-1:0` of the id out
    "bedrock-mantle-responses-0": Golden(1_784_324_967, [
        ("input", 72, "0.15"), ("output", 45, "0.60"),
    ]),
    # -- Google: thoughts are beside the candidates ----------------------------------------------
    "gemini-max-tokens-0": Golden(UNDATED, [("input", 15, "0.30"), ("output", 5, "2.50")]),
    "gemini-stream-0": Golden(UNDATED, [("input", 13, "0.10"), ("output", 8, "0.40")]),
    "gemini-stream-usage-midstream-0": Golden(UNDATED, [
        ("input", 18, "0.30"), ("output", 80, "2.50"), ("output_reasoning", 35, "2.50"),
    ]),
    # flex costs half, but the catalogue knows no flex price of this model: said, not hidden
    "vertex-flex-stream-0": Golden(1_774_116_715, [
        ("input", 5, "0.50"), ("output", 1, "3"), ("output_reasoning", 100, "3"),
    ], flags=("no_tier_rate",), confidence="estimated"),
    "vertex-embeddings-0": Golden(UNDATED, [("input", 4, "0.15")]),
    # no counts in the reply: ten characters of request are three tokens
    "gemini-embeddings-0": Golden(
        UNDATED, [("input", 3, "0.20")], "estimate", confidence="estimated"
    ),
    # -- OpenAI: cached and written tokens are part of the input ---------------------------------
    "openai-chat-moderation-stream-0": Golden(1_784_728_648, [
        ("input", 13, "1.25"), ("output", 11, "10"),
    ]),
    # 4020 = 8 + 4012; Sol costs 5 / 30 until 2026-08-20, a write 5 x 1.25, a read 5 x 0.1
    "openai-chat-prompt-cache-0": Golden(1_784_092_247, [*SOL_WRITE, ("output", 4, "30")]),
    "openai-chat-prompt-cache-1": Golden(1_784_092_252, [*SOL_READ, ("output", 4, "30")]),
    "openai-responses-prompt-cache-0": Golden(1_784_092_257, [*SOL_WRITE, ("output", 5, "30")]),
    "openai-responses-prompt-cache-1": Golden(1_784_092_262, [*SOL_READ, ("output", 5, "30")]),
    "openai-embeddings-0": Golden(UNDATED, [("input", 2, "0.02")]),
    "openai-native-toolsearch-0": Golden(1_785_463_999, [
        ("input", 230, "5"), ("output", 22, "30"),
    ]),
    "openai-responses-background-stream-0": Golden(1_771_375_110, [
        ("input", 15, "2.50"), ("output", 9, "10"),
    ]),
    # flex costs half, but the catalogue tells that from 2026-10-12 on only: said, not hidden
    "openai-responses-stream-0": Golden(1_758_034_836, [
        ("input", 53, "1.25"), ("output", 21, "10"), ("output_reasoning", 448, "10"),
    ], flags=("no_tier_rate",), confidence="estimated"),
    "openai-responses-websearch-stream-0": Golden(1_758_057_212, [
        ("input", 1143, "1.25"), ("input_cache_read", 8320, "0.125"), ("output", 70, "10"),
        ("output_reasoning", 512, "10"), ("web_search", 1, "10000"),
    ]),
    "openai-responses-websearch-stream-1": Golden(1_758_057_237, [
        ("input", 1127, "1.25"), ("input_cache_read", 8576, "0.125"), ("output", 62, "10"),
        ("output_reasoning", 576, "10"), ("web_search", 1, "10000"),
    ]),
    # Azure sells at OpenAI's list price; which deployment it was is only known to its owner
    "azure-responses-0": Golden(1_785_164_063, [
        ("input", 18, "5"), ("output", 5, "30"),
    ], confidence="estimated"),
    # -- others ----------------------------------------------------------------------------------
    # billed units, not the 2935 tokens; the 2928 cached ones are no part of them
    "cohere-cached-0": Golden(UNDATED, [("input", 2406, "0.0375"), ("output", 2, "0.15")]),
    # 17:41 UTC is off peak: 0.55 / 2.19 at other hours
    "deepseek-thinking-stream-0": Golden(1_752_169_304, [
        ("input", 6, "0.135"), ("output", 14, "0.55"), ("output_reasoning", 198, "0.55"),
    ]),
    # failed in the stream before any count: 199 characters asked, 212 seen
    "groq-tool-use-failed-stream-0": Golden(1_771_434_740, [
        ("input", 50, "0.15"), ("output", 53, "0.60"),
    ], "estimate", confidence="estimated"),
    "groq-tool-use-failed-stream-1": Golden(1_771_434_740, [
        ("input", 304, "0.15"), ("output", 26, "0.60"), ("output_reasoning", 23, "0.60"),
    ]),
    "groq-tool-use-failed-stream-2": Golden(1_771_434_741, [
        ("input", 339, "0.15"), ("output", 20, "0.60"), ("output_reasoning", 38, "0.60"),
    ]),
    # a compound system is charged by the models it called, which have no price of their own here
    "groq-websearch-stream-0": unpriced(1_758_144_046, ("input", 5003), ("output", 359)),
    "huggingface-usage-0": Golden(1_769_546_587, [("input", 4, "3"), ("output", 258, "7")]),
    # the catalogue takes the name for the Large of 2024, whatever it means by now
    "mistral-prompt-cache-0": Golden(1_784_911_112, [("input", 253, "2"), ("output", 5, "6")]),
    # what OpenRouter states is what is paid; OpenAI's prices give the same
    "openrouter-responses-cache-0": Golden(
        1_784_286_312, [*SOL_WRITE, ("output", 5, "30")], "provider_stated", stated="0.025265"
    ),
    "openrouter-responses-cache-1": Golden(
        1_784_286_313, [*SOL_READ, ("output", 5, "30")], "provider_stated", stated="0.002196"
    ),
    # a `:free` variant: nothing to pay, and it says so itself
    "openrouter-stream-error-0": Golden(1_762_179_802, [
        ("input", 43, "0"), ("output_reasoning", 10, "0"),
    ], "provider_stated", stated="0"),
    "openrouter-usage-0": Golden(1_762_789_695, [
        ("input", 17, "0.25"), ("output", 811, "2"), ("output_reasoning", 704, "2"),
    ]),
    "openrouter-usage-1": Golden(1_762_789_734, [
        ("input", 17, "0.25"), ("output", 1217, "2"), ("output_reasoning", 960, "2"),
    ], "provider_stated", stated="0.00435825"),
}  # fmt: skip

MADE: dict[str, Golden] = {
    # 268 = 44 + 224; a golden vector whose recording is not in the folder
    "mistral-prompt-cache-1": Golden(1_784_911_112, [
        ("input", 44, "2"), ("input_cache_read", 224, "2"), ("output", 5, "6"),
    ], flags=("cache_read_at_input_rate",), confidence="estimated"),
}  # fmt: skip

VOICE_LIVE = "wss://r.services.ai.azure.com/voice-live/realtime?model=gpt-realtime"
XAI_VOICE = "wss://api.x.ai/v1/realtime?model=grok-voice-latest"

SOCKETS: dict[str, tuple[str, list[Golden]]] = {
    "azure-voice-live": (VOICE_LIVE, [Golden(UNDATED, [
        ("input", 16, "4"), ("output", 14, "16"), ("output_audio", 31, "64"),
    ], confidence="estimated")]),
    # the recording leaves the setup out, and with it the model
    "gemini-live": (GEMINI, [unpriced(
        UNDATED, ("input", 1131), ("output_audio", 26), ("output_reasoning", 24),
        flags=("unpriced",),
    )]),
    "openai-realtime": (REALTIME, [Golden(UNDATED, [
        ("input", 16, "4"), ("output", 9, "16"), ("output_audio", 15, "64"),
    ])]),
    # the transcription is a call of its own, by a model that the recording leaves out
    "openai-realtime-audio-in": (REALTIME, [
        unpriced(UNDATED, ("audio_seconds", 3), flags=("unpriced",)),
        Golden(UNDATED, [
            ("input", 14, "4"), ("input_audio", 27, "32"), ("output", 28, "16"),
            ("output_audio", 136, "64"),
        ]),
    ]),
    # $3 an hour, by the second; the 47 tokens are evidence
    "xai-realtime": (XAI_VOICE, [Golden(UNDATED, [("audio_seconds", 1, "833.333333333")])]),
}  # fmt: skip

GRPC: dict[str, Golden] = {
    # asked of grok-4-fast, served and charged by grok-4.3: 1,043,500 ticks of 1e-10 dollars
    "xai-grpc-stream-cancel": Golden(1_786_507_252, [
        ("input", 61, "1.25"), ("input_cache_read", 128, "0.20"), ("output", 1, "2.50"),
    ], "provider_stated", stated="0.00010435"),
}  # fmt: skip

NOTHING: Mapping[str, tuple[str, str]] = {
    "anthropic-count-tokens-0": ("no", "counting tokens is free"),
    "vertex-usage-limit-0": ("no", "counting tokens is free"),
    "bedrock-stream-error-0": ("no", "refused before generation"),
    "voyage-embeddings-0": ("yes", "the provider counted zero tokens, and the reading says so"),
}
"""Samples that cost nothing: what `billed` says, and why."""
