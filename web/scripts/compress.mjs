// Writes .gz and .br beside every built file that becomes smaller by it; `npm run build` ends here.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const DIST = fileURLToPath(new URL("../../src/outlay/web/dist", import.meta.url));
const TEXT = new Set([".css", ".html", ".js", ".json", ".map", ".svg", ".txt", ".webmanifest"]);
/** Below this the headers weigh more than what is saved. */
const LEAST_BYTES = 1024;

for (const entry of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath, entry.name);
  if (!entry.isFile() || !TEXT.has(extname(entry.name))) continue;
  const body = readFileSync(path);
  // Scripts and styles are always compressed: nothing about them depends on their size.
  if (body.length < LEAST_BYTES && ![".js", ".css"].includes(extname(entry.name))) continue;
  writeFileSync(`${path}.gz`, gzipSync(body, { level: 9 }));
  writeFileSync(
    `${path}.br`,
    brotliCompressSync(body, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 11,
        [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
      },
    }),
  );
}
