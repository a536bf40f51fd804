"""An agent run with a budget: it stops before it passes it, and hands over what it has so far.

Needs OPENAI_API_KEY; with OUTLAY_ENDPOINT and OUTLAY_KEY prices come from your server. Without any
prices, only the steps and the repeats are held. `pip install outlay openai`.
"""

import openai

import outlay

outlay.init()
client = openai.OpenAI()


@outlay.agent("research", budget="0.05", max_repeats=3)
def research(question: str) -> str:
    """Each call gets five cents, cut from what the orchestrator has left."""
    answer = client.chat.completions.create(
        model="gpt-5-mini",
        max_completion_tokens=400,
        messages=[{"role": "user", "content": question}],
    )
    # The same tool with the same arguments over and over would end the run; arguments are hashed.
    outlay.record("tool", name="notes.save", units={"requests": 1}, arguments={"about": question})
    return answer.choices[0].message.content or ""


found: list[str] = []
try:
    with (
        outlay.context(tenant="acme", feature="report"),
        outlay.agent("orchestrator", budget="0.20", max_steps=40, max_depth=4) as run,
    ):
        for topic in ("wind", "sun", "water", "waves"):
            found.append(research(f"Two facts about energy from {topic}."))
            outlay.partial(list(found))
            print(f"{run.calls} calls, {run.cost_nanos} nano-dollars, {run.left_nanos} left")
except outlay.RunStopped as stopped:
    print(f"{stopped.message}\nSo far, for {stopped.cost_nanos} nano-dollars: {stopped.partial}")
