// No comment is wider than 120 columns: the formatter leaves comments as they are (Python's are ruff's W505).
// Usage: node scripts/comment-columns.mjs
import { globSync, readFileSync } from "node:fs";

const widest = 120;
/** Made of the contract, whose descriptions are as long as they are. */
const generated = "src/protocol/fork-server.ts";
const files = globSync(["bin/*", "src/**/*.ts", "test/**/*.ts", "bench/**/*.ts", "scripts/*.mjs"]).filter(
  (file) => file !== generated,
);
const wide = files.flatMap((file) =>
  readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line, at) =>
      line.length > widest && /^\s*(\/?\*\*? |\/\/|# )/.test(line) ? [`${file}:${at + 1} ${line.length}`] : [],
    ),
);
if (wide.length > 0) {
  console.error(wide.join("\n"));
  process.exitCode = 1;
}
