// Which room of src/ may import from which: only from those below it, type imports included, and no file in a circle.
// Usage: node scripts/layers.mjs   (exit code 1 and a line for each import that goes up)
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** From top to bottom. Rooms of one line may import from each other, but no file in a circle. */
const order = [
  ["main.ts"],
  ["commands"],
  ["doctor"],
  ["cluster", "host"],
  ["rank"],
  ["report"],
  ["registry"],
  ["rendezvous"],
  ["batch"],
  ["net"],
  ["dask"],
  ["protocol"],
  ["ui"],
  ["launcher"],
  ["config"],
  ["security"],
  ["errors"],
  ["deadlines.ts", "timers.ts"],
];

const root = join(import.meta.dirname, "../src");
const levelOf = new Map(order.flatMap((rooms, level) => rooms.map((room) => [room, level])));
const roomOf = (file) => file.split("/", 1)[0];

/** Every import of every file, by path from src/. */
function readImports() {
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    files.map((file) => {
      const text = readFileSync(file, "utf8");
      const found = [...text.matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)];
      return [relative(root, file), found.map(([, path]) => relative(root, join(dirname(file), path)))];
    }),
  );
}

/** The imports that go up, and the rooms that have no place in the order. */
function upward(imports) {
  return [...imports].flatMap(([file, targets]) => {
    const own = levelOf.get(roomOf(file));
    if (own === undefined) return [`${file}: its room is not in the order of scripts/layers.mjs`];
    return targets
      .filter((target) => levelOf.get(roomOf(target)) < own)
      .map((target) => `${file} imports ${target}, which is above it`);
  });
}

/** The circles among files: Tarjan's strongly connected components with more than one file. */
function circles(imports) {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const found = [];
  const visit = (file) => {
    index.set(file, index.size);
    low.set(file, index.get(file));
    stack.push(file);
    for (const target of imports.get(file) ?? []) {
      if (!index.has(target)) visit(target);
      if (stack.includes(target)) low.set(file, Math.min(low.get(file), low.get(target)));
    }
    if (low.get(file) !== index.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1) found.push(`in a circle: ${circle.sort().join(", ")}`);
  };
  for (const file of imports.keys()) if (!index.has(file)) visit(file);
  return found;
}

const imports = readImports();
const problems = [...upward(imports), ...circles(imports)];
for (const problem of problems) console.log(problem);
if (problems.length === 0) console.log(`${imports.size} files`);
process.exitCode = problems.length === 0 ? 0 : 1;
