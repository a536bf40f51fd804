"""Meter one agent run: any provider SDK, unchanged. Needs OUTLAY_ENDPOINT, OUTLAY_KEY and a key
of the provider; `pip install outlay openai`.
"""

import openai

import outlay

outlay.init()  # reads OUTLAY_ENDPOINT and OUTLAY_KEY, taps httpx and httpx2
client = openai.OpenAI()

with (
    outlay.context(tenant="acme", user="u1", feature="doc-summarizer", initiator="user"),
    outlay.agent("orchestrator"),
):
    with outlay.agent("research"):
        answer = client.chat.completions.create(
            model="gpt-5.6-sol", messages=[{"role": "user", "content": "Say OK."}]
        )
    outlay.record("tool", name="serp.search", units={"requests": 1}, cost_usd="0.005")
    spent = outlay.current()
    print(answer.choices[0].message.content, f"cost so far: {spent.cost_nanos} nano-dollars")
