/** The start of the dashboard. */

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError, whenSignedOut } from "@/api/client";
import "@/design/index.css";
import { show } from "@/lib/preferences";
import { makeRouter } from "@/router";

const RETRIES = 2;

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      gcTime: 300_000,
      refetchOnWindowFocus: true,
      // What the caller did wrong stays wrong; what the server could not do is tried again.
      retry: (failed, error) =>
        failed < RETRIES &&
        (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
    },
  },
});
const router = makeRouter(client);

whenSignedOut(() => {
  client.removeQueries({ queryKey: ["session"] });
  const { pathname, search } = window.location;
  if (!pathname.startsWith("/app/login")) {
    const next = `${pathname.replace(/^\/app/, "")}${search}`;
    void router.navigate({ to: "/login", search: { next } as never });
  }
});

// A page that comes back from the browser's memory may show what was signed out of since.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});

show();
const place = document.getElementById("root");
if (place) {
  createRoot(place).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
