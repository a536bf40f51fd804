/** The currencies that amounts can be shown in, and the viewer's choice. */

import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { type Currency, DOLLARS } from "@/lib/money";
import { usePreferences } from "@/lib/preferences";
import { nowMicros } from "@/lib/time";
import { api, data } from "./client";

/** Return every currency with the rate that holds now, dollars first. */
export function useCurrencies(): Currency[] {
  const found = useQuery({
    queryKey: ["currencies"],
    queryFn: () => data(api.GET("/v1/currencies")),
    staleTime: 300_000,
  });
  return useMemo(() => {
    const now = nowMicros();
    const latest = new Map<string, Currency>([["USD", DOLLARS]]);
    for (const rate of found.data?.rates ?? []) {
      const known = latest.get(rate.currency);
      const holds = rate.valid_from <= now && rate.currency !== "USD";
      if (holds && (!known || known.validFrom < rate.valid_from)) {
        latest.set(rate.currency, {
          code: rate.currency,
          perUsdPpb: rate.per_usd_ppb,
          validFrom: rate.valid_from,
        });
      }
    }
    return [...latest.values()];
  }, [found.data]);
}

/** Return the currency that the viewer chose; dollars while its rate is not known. */
export function useCurrency(): Currency {
  const all = useCurrencies();
  const { currency } = usePreferences();
  return all.find((one) => one.code === currency) ?? DOLLARS;
}
