/** Rows of an answer as a flow or a tree: the largest by name, all others of a level as one. */

import { name, num, type Row } from "@/api/question";

export interface FlowNode {
  /** Unique over all levels: a tenant and a feature may have the same name. */
  id: string;
  label: string;
  level: number;
  field: string;
  value: number;
}

export interface FlowLink {
  source: string;
  target: string;
  value: number;
}

export const OTHERS = "Others";
const PER_LEVEL = 12;

const idOf = (level: number, label: string) => `${level}\u0000${label}`;

/** Return the nodes and links between neighbouring levels. Values at or below 0 are left out. */
export function flow(rows: Row[], by: string[], metric: string, perLevel = PER_LEVEL) {
  const kept = by.map((field) => {
    const totals = new Map<string, number>();
    for (const row of rows) {
      const key = name(row[field]);
      totals.set(key, (totals.get(key) ?? 0) + num(row, metric));
    }
    const largest = [...totals].sort((a, b) => b[1] - a[1]).slice(0, perLevel);
    return new Set(largest.map(([key]) => key));
  });
  const nodes = new Map<string, FlowNode>();
  const links = new Map<string, FlowLink>();
  for (const row of rows) {
    const value = num(row, metric);
    if (value <= 0) continue;
    let before: string | null = null;
    by.forEach((field, level) => {
      const said = name(row[field]);
      const label = kept[level]?.has(said) ? said : OTHERS;
      const id = idOf(level, label);
      const node = nodes.get(id) ?? { id, label, level, field, value: 0 };
      node.value += value;
      nodes.set(id, node);
      if (before !== null) {
        const key = `${before}\u0001${id}`;
        const link = links.get(key) ?? { source: before, target: id, value: 0 };
        link.value += value;
        links.set(key, link);
      }
      before = id;
    });
  }
  return { nodes: [...nodes.values()], links: [...links.values()] };
}

export interface TreeNode {
  name: string;
  value: number;
  path: string[];
  children?: TreeNode[];
}

/** Return the rows as a tree by their dimensions, each node the sum of its children. */
export function tree(rows: Row[], by: string[], metric: string): TreeNode[] {
  const grow = (part: Row[], level: number, path: string[]): TreeNode[] => {
    const field = by[level];
    if (field === undefined) return [];
    const groups = new Map<string, Row[]>();
    for (const row of part) {
      if (num(row, metric) <= 0) continue;
      const key = name(row[field]);
      const group = groups.get(key);
      if (group) group.push(row);
      else groups.set(key, [row]);
    }
    return [...groups].map(([key, group]) => {
      const children = grow(group, level + 1, [...path, key]);
      const value = group.reduce((sum, row) => sum + num(row, metric), 0);
      return { name: key, value, path: [...path, key], ...(children.length ? { children } : {}) };
    });
  };
  return grow(rows, 0, []);
}
