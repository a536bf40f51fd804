/** The start of the customer portal. */

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError, showBearer, whenSignedOut } from "@/api/client";
import "@/design/index.css";
import { show } from "@/lib/preferences";
import { followHost } from "./host";
import { Expired, Portal } from "./Portal";
import { takeToken } from "./token";

const RETRIES = 2;

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (failed, error) =>
        failed < RETRIES &&
        (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
    },
  },
});

showBearer(takeToken());
// A fresh link for a page that is open changes only what stands behind `#`: the page begins anew.
window.addEventListener("hashchange", () => window.location.reload());
show();
followHost();
const place = document.getElementById("root");
if (place) {
  const root = createRoot(place);
  // A link that ends while it is looked at: nothing of what was shown stays.
  whenSignedOut(() => {
    client.clear();
    root.render(<Expired />);
  });
  root.render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <Portal />
      </QueryClientProvider>
    </StrictMode>,
  );
}
