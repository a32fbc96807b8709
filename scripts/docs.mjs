// Writes docs/options.md from the table of options. Usage: node scripts/docs.mjs   (a Node that runs TypeScript: 22.18 or newer)
import { writeFileSync } from "node:fs";
import { optionsPage } from "../src/cli/options-page.ts";

writeFileSync(new URL("../docs/options.md", import.meta.url), optionsPage());
