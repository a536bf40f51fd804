/** Talking with the page around the frame: it may set the theme; it is told height and expiry. */

import { applyTheme, validTheme } from "./theme";

type Told = { type: "outlay:height"; height: number } | { type: "outlay:expired" };

const framed = window.parent !== window;

/** Tell the page around the frame something. Nothing told is about usage, so any page may hear. */
export function tellHost(message: Told): void {
  if (framed) window.parent.postMessage(message, "*");
}

/** Follow the host: its theme messages, and this page's height. */
export function followHost(): void {
  if (!framed) return;
  document.documentElement.dataset.framed = "true";
  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || event.data?.type !== "outlay:theme") return;
    applyTheme(validTheme(event.data.theme));
  });
  let told = 0;
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height !== told) tellHost({ type: "outlay:height", height });
    told = height;
  }).observe(document.body);
}
