/** One request's tree as parts with ids, folds and an icicle of costs. No React in here. */

import type { components } from "@/api/schema";
import { DAY } from "@/lib/time";

export type TreeNode = components["schemas"]["TreeNode"];

/** A node of the tree with its place in it. */
export interface Part {
  /** The same for the same node when the request grows: its event, its run, or its place. */
  id: string;
  node: TreeNode;
  depth: number;
  parent: Part | null;
  children: Part[];
  /** Parts below it, itself not counted. */
  below: number;
  /** The agent it belongs to; empty at the root. */
  agent: string;
  /** Which attempt of its call it is, counted from 1; 0 where it is not one of several. */
  attempt: number;
  tokensIn: number;
  tokensOut: number;
}

/** Statuses of a stream that ended before its end. */
const CUT = new Set(["aborted", "incomplete"]);
const BAD = new Set(["error", "timeout"]);

export const isCut = (part: Part): boolean => CUT.has(part.node.status);
export const isBad = (part: Part): boolean => BAD.has(part.node.status);
/** Whether a part is one event, an attempt of a call. */
export const isEvent = (part: Part): boolean => part.node.event_id !== undefined;

function idOf(node: TreeNode, place: string): string {
  if (node.kind === "request") return "request";
  if (node.event_id) return node.event_id;
  if (node.kind === "agent") return `agent:${node.span_id ?? ""}:${node.agent_path ?? place}`;
  const first = node.children[0]?.event_id;
  return first ? `call:${first}` : `at:${place}`;
}

function tokensOf(usage: Record<string, number> | undefined, side: "input" | "output"): number {
  let sum = 0;
  for (const [unit, quantity] of Object.entries(usage ?? {})) {
    if (unit.startsWith(side)) sum += quantity;
  }
  return sum;
}

/** Return the root of a tree as a part. */
export function partOf(root: TreeNode): Part {
  const build = (node: TreeNode, parent: Part | null, place: string, attempt: number): Part => {
    const part: Part = {
      id: idOf(node, place),
      node,
      depth: parent ? parent.depth + 1 : 0,
      parent,
      children: [],
      below: 0,
      agent: node.kind === "agent" ? (node.agent_path ?? node.name) : (parent?.agent ?? ""),
      attempt,
      tokensIn: tokensOf(node.usage, "input"),
      tokensOut: tokensOf(node.usage, "output"),
    };
    const several = node.kind === "call" || node.kind === "tool";
    part.children = node.children.map((child, at) =>
      build(child, part, `${place}.${at}`, several ? at + 1 : 0),
    );
    for (const child of part.children) {
      part.below += child.below + 1;
      part.tokensIn += child.tokensIn;
      part.tokensOut += child.tokensOut;
    }
    return part;
  };
  return build(root, null, "0", 0);
}

/** Return every part, parents before their children. */
export function every(root: Part): Part[] {
  const found: Part[] = [];
  const walk = (part: Part) => {
    found.push(part);
    part.children.forEach(walk);
  };
  walk(root);
  return found;
}

/** Return a part and those above it, the root first. */
export function pathTo(part: Part): Part[] {
  return part.parent ? [...pathTo(part.parent), part] : [part];
}

/** Rows that a large tree begins with; the rest is folded. */
export const MOST_OPEN = 1_500;

/** Return the ids of the parts that are open unless the reader says else, level by level. */
export function openByDefault(root: Part, most = MOST_OPEN): Set<string> {
  const open = new Set<string>();
  let rows = 1;
  const queue = [root];
  for (const part of queue) {
    if (!part.children.length) continue;
    if (rows + part.children.length > most && part !== root) continue;
    open.add(part.id);
    rows += part.children.length;
    queue.push(...part.children);
  }
  return open;
}

/** Return the rows in sight, top down. */
export function rowsOf(root: Part, isOpen: (part: Part) => boolean): Part[] {
  const rows: Part[] = [];
  const walk = (part: Part) => {
    rows.push(part);
    if (isOpen(part)) part.children.forEach(walk);
  };
  walk(root);
  return rows;
}

/** A box of the icicle; `left` and `width` are shares of 1. */
export interface Box {
  part: Part;
  row: number;
  left: number;
  width: number;
  /** So many small parts stand in one box; 0: it is the part itself. */
  merged: number;
  /** The name they share; empty where they have several. */
  name: string;
  cost: number;
}

/** Boxes narrower than this share are drawn as one. */
export const LEAST_WIDTH = 0.004;

/**
 * Return the boxes of a picture in which width is cost. Parts above `zoom` are as wide as all.
 * Parts without a cost have no width and no box.
 */
export function icicle(zoom: Part, least = LEAST_WIDTH): Box[] {
  const boxes: Box[] = [];
  const path = pathTo(zoom);
  for (const [row, part] of path.entries()) {
    const { name, cost_nanos: cost } = part.node;
    boxes.push({ part, row, left: 0, width: 1, merged: 0, name, cost });
  }
  const lay = (part: Part, row: number, left: number, width: number) => {
    const paid = part.children.filter((child) => child.node.cost_nanos > 0);
    paid.sort((a, b) => b.node.cost_nanos - a.node.cost_nanos);
    const sum = paid.reduce((all, child) => all + child.node.cost_nanos, 0);
    // An adjustment below may make the whole smaller than its parts.
    const whole = Math.max(part.node.cost_nanos, sum);
    let at = left;
    const put = (parts: Part[], name: string) => {
      const [first] = parts;
      if (!first) return;
      const cost = parts.reduce((all, one) => all + one.node.cost_nanos, 0);
      const share = (cost / whole) * width;
      const merged = parts.length > 1 ? parts.length : 0;
      boxes.push({ part: first, row, left: at, width: share, merged, name, cost });
      // What is below a sliver is a sliver too: zooming in shows it.
      if (!merged && share >= least) lay(first, row + 1, at, share);
      at += share;
    };
    const { single, groups, rest } = sorted(paid, (cost) => (cost / whole) * width >= least);
    for (const child of single) put([child], child.node.name);
    for (const group of groups) put(group, group[0]?.node.name ?? "");
    put(rest, "");
  };
  lay(zoom, path.length, 0, 1);
  return boxes;
}

/**
 * Sort parts, the dearest first, into those wide enough to be seen, groups of one name that are
 * wide enough together (a loop makes hundreds of the same call), and the rest.
 */
function sorted(parts: Part[], isWide: (cost: number) => boolean) {
  const single = parts.filter((part) => isWide(part.node.cost_nanos));
  const names = new Map<string, Part[]>();
  for (const part of parts.slice(single.length)) {
    const group = names.get(part.node.name);
    if (group) group.push(part);
    else names.set(part.node.name, [part]);
  }
  const groups: Part[][] = [];
  const rest: Part[] = [];
  for (const group of names.values()) {
    const cost = group.reduce((all, one) => all + one.node.cost_nanos, 0);
    if (group.length > 1 && isWide(cost)) groups.push(group);
    else rest.push(...group);
  }
  return { single, groups, rest };
}

export type Tint = "agent" | "model" | "status";

/** Return what a part is coloured by; "" where it has none, as an agent has no model. */
export function tintKey(part: Part, by: Tint): string {
  if (by === "agent") return part.agent;
  if (by === "status") return part.node.status;
  return part.node.model ?? (part.node.kind === "tool" ? part.node.name : "");
}

/** Return the keys by their own cost, the dearest first; those past `most` share one colour. */
export function tintOrder(parts: Part[], by: Tint, most = 8): string[] {
  const costs = new Map<string, number>();
  for (const part of parts) {
    const key = tintKey(part, by);
    if (key && !part.children.length) {
      costs.set(key, (costs.get(key) ?? 0) + part.node.cost_nanos);
    }
  }
  const sorted = [...costs].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  return sorted.slice(0, most).map(([key]) => key);
}

const SECOND = 1_000_000;
/** Steps of an axis longer than a minute or so, in seconds: round on a clock. */
const CLOCK = [30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];

/** Return about `most` round times from 0 to a length, in microseconds. */
export function timeTicks(length: number, most = 6): number[] {
  if (length <= 0) return [0];
  const rough = length / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const steps =
    rough > 20 * SECOND
      ? CLOCK.map((one) => one * SECOND)
      : [1, 2, 5, 10].map((one) => one * power);
  const step = steps.find((one) => one >= rough) ?? Math.ceil(rough / DAY) * DAY;
  const ticks: number[] = [];
  for (let at = 0; at <= length; at += step) ticks.push(at);
  return ticks;
}

/** Events of one agent or model, and what they cost together. */
export interface Group {
  key: string;
  cost: number;
  events: number;
  errors: number;
  tokensIn: number;
  tokensOut: number;
}

/** Return the events of a tree by agent or model, the dearest first; the costs add up to all. */
export function groupsOf(parts: Part[], by: Tint): Group[] {
  const groups = new Map<string, Group>();
  for (const part of parts) {
    if (part.children.length || part.node.kind === "request" || part.node.kind === "agent")
      continue;
    const key = tintKey(part, by);
    const group = groups.get(key) ?? {
      key,
      cost: 0,
      events: 0,
      errors: 0,
      tokensIn: 0,
      tokensOut: 0,
    };
    group.cost += part.node.cost_nanos;
    group.events += 1;
    group.errors += isBad(part) ? 1 : 0;
    group.tokensIn += part.tokensIn;
    group.tokensOut += part.tokensOut;
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => b.cost - a.cost || a.key.localeCompare(b.key));
}
