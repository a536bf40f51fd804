/** Findings in words, and where each is dealt with. */

import type { Finding } from "./api";

interface Said {
  title: string;
  path: "/prices" | "/limits" | "/requests";
}

const KINDS: Record<string, Said> = {
  catalogue_drift: { title: "Price differs from another catalogue", path: "/prices" },
  stated_drift: { title: "Provider states another cost", path: "/prices" },
  usage_drift: { title: "Unknown usage in a response", path: "/prices" },
  estimate_drift: { title: "Estimates are far from cost", path: "/limits" },
};

/** Return what a finding says and the page that deals with it. */
export function said(finding: Finding): Said {
  return KINDS[finding.kind] ?? { title: finding.kind.replaceAll("_", " "), path: "/prices" };
}

/** Tell whether a finding is about one of some models; its subject or its details name them. */
export function concerns(finding: Finding, models: ReadonlySet<string>): boolean {
  const details = finding.details as Record<string, unknown>;
  if (typeof details.model === "string" && models.has(details.model)) return true;
  return finding.subject.split(/[\s/:]+/).some((word) => models.has(word));
}
