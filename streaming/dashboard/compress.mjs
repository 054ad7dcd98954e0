// Writes a .gz and a .br beside each built text file; the server sends them to browsers that accept them.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

const folder = new URL("dist/assets/", import.meta.url).pathname;
let total = 0;
for (const name of readdirSync(folder)) {
  if (!/\.(js|css|svg)$/.test(name)) continue;
  const path = join(folder, name);
  const content = readFileSync(path);
  const gzipped = gzipSync(content, { level: 9 });
  total += gzipped.length;
  writeFileSync(`${path}.gz`, gzipped);
  writeFileSync(`${path}.br`, brotliCompressSync(content));
}
console.log(`${(total / 1024).toFixed(1)} KiB gzipped in all`);
if (total > 150 * 1024) {
  console.error("the dashboard is larger than its budget of 150 KiB gzipped");
  process.exit(1);
}
