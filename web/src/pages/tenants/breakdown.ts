/** The dimensions of a tenant's breakdown, in its URL. */

export const DIMENSIONS = [
  ["feature", "Feature"],
  ["agent", "Agent"],
  ["model", "Model"],
  ["provider", "Provider"],
  ["workflow", "Workflow"],
  ["operation", "Operation"],
  ["user", "User"],
  ["workspace", "Workspace"],
  ["environment", "Environment"],
] as const;

export type Dimension = (typeof DIMENSIONS)[number][0];

export const USUAL: readonly Dimension[] = ["feature", "agent", "model"];
export const MOST_DIMENSIONS = 3;

/** Return the dimensions that a URL names, in its order; the usual ones when it names none. */
export function dimensionsOf(values: string[]): Dimension[] {
  const known = values.filter((value): value is Dimension =>
    DIMENSIONS.some(([id]) => id === value),
  );
  const found = [...new Set(known)].slice(0, MOST_DIMENSIONS);
  return found.length ? found : [...USUAL];
}

/** Return dimensions with one more or one less; the last one stays, beyond the most the oldest goes. */
export function toggled(chosen: readonly Dimension[], one: Dimension): Dimension[] {
  if (!chosen.includes(one)) return [...chosen, one].slice(-MOST_DIMENSIONS);
  return chosen.length === 1 ? [...chosen] : chosen.filter((other) => other !== one);
}
