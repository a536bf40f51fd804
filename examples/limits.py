"""Calls under limits and prepaid credits: a call that does not fit is never sent.

Needs OPENAI_API_KEY, and OUTLAY_ENDPOINT and OUTLAY_KEY of a server with limits: for instance
`outlay limits apply examples/limits.yaml --reason "try it"`. `pip install outlay openai`.
"""

import openai

import outlay
from outlay.capture import Notice

outlay.init(limits=True)  # or OUTLAY_LIMITS=true
client = openai.OpenAI()


def told(notice: Notice) -> None:
    """Hear of what limits do to calls of this process; keep it short, the call waits for it."""
    seen = " (only watched)" if notice.shadow else ""
    instead = f": {notice.instead} instead of {notice.model}" if notice.instead else ""
    print(f"{notice.action} by {notice.limit_id}{seen}{instead}, {notice.left} left")


outlay.on("any", told)  # or "warn", "throttle", "downgrade", "partial", "escalate", "block"


def answer(question: str) -> str:
    """Ask the model, or say in words why the call was refused."""
    try:
        reply = client.chat.completions.create(
            model="gpt-5-mini",
            max_completion_tokens=400,
            messages=[{"role": "user", "content": question}],
        )
    except openai.APIStatusError as error:
        if "outlay-limit" not in error.response.headers:
            raise  # the provider's own error
        refusal = error.response.json()["error"]
        # Also: limit_id, metric, amount, used, held, left, resets_at (microseconds UTC).
        return f"Refused by {refusal['outlay'].get('limit_id')}: {refusal['message']}"
    return reply.choices[0].message.content or ""


with outlay.context(tenant="acme", user="u1", feature="chat", initiator="user"):
    for number in range(1, 6):
        print(answer(f"One fact about the number {number}."))
