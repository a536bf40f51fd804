/** How an application is connected, by what it is written with. Each snippet is run by a test. */

export interface Snippet {
  id: string;
  label: string;
  /** What is installed. */
  install: string;
  code: string;
  note: string;
}

const START = `import outlay

outlay.init()  # reads OUTLAY_ENDPOINT and OUTLAY_KEY`;

const context = (
  inside: string,
) => `with outlay.context(tenant="acme", user="u1", feature="doc-summarizer"):
${inside}`;

export const SNIPPETS: readonly Snippet[] = [
  {
    id: "openai",
    label: "OpenAI",
    install: "pip install outlay openai",
    code: `${START}
from openai import OpenAI

client = OpenAI()
${context(`    client.chat.completions.create(
        model="gpt-5-mini",
        messages=[{"role": "user", "content": "Hello"}],
    )`)}`,
    note: "The provider's SDK stays as it is: sync, async, streams, tools, retries.",
  },
  {
    id: "anthropic",
    label: "Anthropic",
    install: "pip install outlay anthropic",
    code: `${START}
from anthropic import Anthropic

client = Anthropic()
${context(`    client.messages.create(
        model="claude-sonnet-4-5",
        max_tokens=200,
        messages=[{"role": "user", "content": "Hello"}],
    )`)}`,
    note: "Cache reads and writes are priced by their own rates.",
  },
  {
    id: "google",
    label: "Google",
    install: "pip install outlay google-genai",
    code: `${START}
from google import genai

client = genai.Client()
${context(`    client.models.generate_content(model="gemini-2.5-flash", contents="Hello")`)}`,
    note: "Gemini by API key or by Vertex AI.",
  },
  {
    id: "agents",
    label: "Agents",
    install: "pip install outlay",
    code: `${START}

with outlay.context(tenant="acme", feature="research-report"):
    with outlay.agent("orchestrator"):
        with outlay.agent("research"):
            ...  # calls here cost orchestrator/research
        outlay.record("tool", name="serp.search", units={"requests": 1})`,
    note: "For LangGraph, CrewAI, the OpenAI Agents SDK or your own loop: an agent is a with block.",
  },
  {
    id: "fastapi",
    label: "FastAPI",
    install: "pip install outlay fastapi",
    code: `${START}
from fastapi import Depends, FastAPI

app = FastAPI()

@app.post("/summaries")
async def summaries(account: Account = Depends(signed_in)):
    with outlay.context(tenant=account.id, feature="doc-summarizer"):
        return await summarize(...)`,
    note: "The tenant comes from your authentication, never from what the caller sends.",
  },
  {
    id: "gateway",
    label: "Any language",
    install: "# nothing: only the address and the key change",
    code: `curl {endpoint}/openai/v1/chat/completions \\
  -H "Authorization: Bearer ov_…" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}'`,
    note: "The gateway passes the provider's API through; a virtual key says which tenant pays.",
  },
];

/** Return the environment of an application. */
export function environment(endpoint: string, key: string): string {
  return `export OUTLAY_ENDPOINT=${endpoint}
export OUTLAY_KEY=${key || "ok_…"}`;
}
