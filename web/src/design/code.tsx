/** Text to copy: commands, snippets, secrets that are shown once. */

import { useState } from "react";
import { Button } from "./basics";
import { toast } from "./dialog";
import "./code.css";

const SHOWN_MS = 2_000;

/** Put text on the clipboard; false where the browser does not let this page, as without TLS. */
async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** A button that copies a text and says so. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await toClipboard(text))) {
      toast("This page may not copy: select the text instead.", { bad: true });
      return;
    }
    setCopied(true);
    setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return (
    <Button
      small
      look="quiet"
      icon={copied ? "check" : "copy"}
      aria-label={`Copy ${label}`}
      onClick={copy}
    >
      {copied ? "Copied" : ""}
    </Button>
  );
}

export function Code({ label, text }: { label: string; text: string }) {
  return (
    <div className="code-box">
      <pre className="code" tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
      <Copy text={text} label={label} />
    </div>
  );
}
