/** Who is signed in, and what he may do. */

import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, data } from "./client";

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: () => data(api.GET("/v1/session")),
  staleTime: 60_000,
});

/** The session as last known; the shell is shown only when somebody is signed in. */
export function useSession() {
  return useQuery(sessionQuery).data;
}

/** Tell whether the signed-in person may do something: `read`, `operate` or `admin`. */
export function useMay(scope: "read" | "operate" | "admin"): boolean {
  return useSession()?.scopes.includes(scope) ?? false;
}
