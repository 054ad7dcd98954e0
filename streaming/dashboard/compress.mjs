// After a build: writes a .gz and a .br beside each text file, for browsers that accept them, and
// removes old builds. Yesterday's files stay: a server that runs still names them in its page.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

const BUDGET = 150 * 1024;
const KEPT_MS = 24 * 3600 * 1000;
const dist = new URL("dist/", import.meta.url).pathname;
const manifest = JSON.parse(readFileSync(join(dist, "manifest.json"), "utf8"));
const current = new Set(Object.values(manifest).flatMap(({ file, css = [] }) => [file, ...css]));

let total = 0;
for (const name of current) {
  const path = join(dist, name);
  const content = readFileSync(path);
  const gzipped = gzipSync(content, { level: 9 });
  total += gzipped.length;
  writeFileSync(`${path}.gz`, gzipped);
  writeFileSync(`${path}.br`, brotliCompressSync(content));
}

const assets = join(dist, "assets");
for (const name of readdirSync(assets)) {
  const path = join(assets, name);
  const belongs = current.has(`assets/${name.replace(/\.(gz|br)$/, "")}`);
  if (!belongs && Date.now() - statSync(path).mtimeMs > KEPT_MS) rmSync(path);
}

console.log(`${(total / 1024).toFixed(1)} KiB gzipped in all`);
if (total > BUDGET) {
  console.error(`the dashboard is larger than its budget of ${BUDGET / 1024} KiB gzipped`);
  process.exit(1);
}
