/** Rows of a price book as the API gives them, with what a test says of them. */

import type { Rate, Sell } from "@/pages/prices/rates";

export const rate = (part: Partial<Rate> = {}): Rate => ({
  rate_id: "r1", provider: "openai", model: "gpt-5", unit: "input",
  nanos_per_million: 4_000_000_000, host_class: "", region_class: "", tier: "", batch: false,
  speed: "", min_context: 0, window: "", valid_from: null, valid_to: null, layer: "catalogue",
  source: "", recorded_at: 1, superseded_at: null, tenant: "", min_quantity: 0, ...part,
}); // biome-ignore format: a row

export const sell = (part: Partial<Sell>): Sell => ({
  sell_id: "s", unit: "cost", out: "nanos", per_million: 1_300_000, tenant: "", plan: "",
  feature: "", provider: "", model: "", valid_from: null, valid_to: null, source: "",
  recorded_at: 1, superseded_at: null, ...part,
}); // biome-ignore format: a row
