// Writes docs/options.md from the table of options, and docs/dependencies.md from the lock file.
// Usage: node scripts/docs.mjs   (a Node that runs TypeScript: 22.18 or newer)
import { readFileSync, writeFileSync } from "node:fs";
import { optionsPage } from "../src/commands/options-page.ts";
import { dependenciesPage } from "./dependencies.mjs";

const page = (name) => new URL(`../docs/${name}`, import.meta.url);
writeFileSync(page("options.md"), optionsPage());
writeFileSync(
  page("dependencies.md"),
  dependenciesPage(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8")),
);
