/** The colours of the cost tree: tokens by place, or by what a status means. */

import type { CSSProperties } from "react";
import { isBad, isCut, type Part, type Tint, tintKey } from "./tree";

const MEANING: Record<string, string> = {
  ok: "--good",
  error: "--bad",
  timeout: "--bad",
  aborted: "--warn",
  incomplete: "--warn",
  blocked: "--warn",
  refused: "--warn",
};

/** Return the style that gives a key its colour, as the property `--tint`. */
export function tintOf(key: string, order: string[], by: Tint): CSSProperties {
  const at = order.indexOf(key);
  const token = by === "status" ? MEANING[key] : at < 0 ? undefined : `--data-${at + 1}`;
  return { "--tint": `var(${token ?? "--data-rest"})` } as CSSProperties;
}

/** Return the style of a part. */
export function tintOfPart(part: Part, order: string[], by: Tint): CSSProperties {
  // The status of what holds others is not its own.
  const holds = part.node.kind === "request" || part.node.kind === "agent";
  return tintOf(by === "status" && holds ? "" : tintKey(part, by), order, by);
}

/** Return what marks a part beyond its colour: cut streams are hatched, errors edged. */
export function markOf(part: Part): "cut" | "bad" | undefined {
  // What holds other parts repeats a status from below: the mark stands where it happened.
  if (part.node.kind === "request" || part.node.kind === "agent") return undefined;
  return isCut(part) ? "cut" : isBad(part) ? "bad" : undefined;
}
