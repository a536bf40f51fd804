import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The server that a page in development asks; `npm run dev` beside `outlay demo`. */
const SERVER = process.env.OUTLAY_ENDPOINT ?? "http://127.0.0.1:8787";

export default defineConfig({
  base: "/app/",
  plugins: [react()],
  resolve: { alias: { "@": here("./src") } },
  build: {
    outDir: here("../src/outlay/web/dist"),
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    rollupOptions: { input: { app: here("./index.html"), portal: here("./portal.html") } },
  },
  server: {
    // The server takes changes from its own pages only: in development this page stands in for one.
    proxy: { "/v1": { target: SERVER, changeOrigin: true, headers: { origin: SERVER } } },
  },
  test: { environment: "node", include: ["tests/**/*.test.{ts,tsx}"] },
});
