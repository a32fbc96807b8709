// A long run of the tests with random input. Usage: npm run fuzz -- [--runs N] [--seed S]
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "20000" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
  },
});
for (const [name, text] of Object.entries(values)) {
  if (!/^\d{1,10}$/.test(text)) {
    console.error(`fuzz: --${name} is a whole number`);
    process.exit(64);
  }
}
console.error(`fuzz: ${values.runs} runs of each property from seed ${values.seed}`);
const root = fileURLToPath(new URL("..", import.meta.url));
const env = { ...process.env, TSDASK_FUZZ_RUNS: values.runs, TSDASK_FUZZ_SEED: values.seed };
/** The parsers and the wire, and the state machines of a launch and of a host. */
const files = ["test/fuzz", "test/cluster/reduce-properties.test.ts", "test/host/host-state.test.ts"];
const { status } = spawnSync(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "--project", "process", "--project", "unit", ...files],
  { cwd: root, env, stdio: "inherit" },
);
process.exit(status ?? 1);
