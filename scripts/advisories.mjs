// Asks npm's list of advisories about the runtime dependencies. Usage: npm run advisories. Exit code 1 when one of them
// is named there; a list that cannot be reached is said, and is no failure: many sites have none.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { runtimePackages } from "./dependencies.mjs";

/**
 * What the output of `npm audit --json` (auditReportVersion 2) says of these packages: a line for people, and whether
 * one is named in it.
 */
export function verdict(text, packages) {
  let report;
  try {
    report = JSON.parse(text);
  } catch {
    return { found: false, line: "the list of advisories could not be asked: npm gave no answer" };
  }
  const { vulnerabilities, message, error } = report ?? {};
  if (typeof vulnerabilities !== "object" || vulnerabilities === null)
    return {
      found: false,
      line: `the list of advisories could not be asked: ${message ?? error?.summary ?? "npm does not say why"}`,
    };
  const named = Object.values(vulnerabilities)
    .filter(({ name }) => packages.includes(name))
    .map(({ name, severity, range }) => `${name} ${range} (${severity})`);
  if (named.length === 0) return { found: false, line: "no advisory is known for what tsdask-mpi runs with" };
  return { found: true, line: `advisories are known: ${named.join("; ")}` };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const words = ["audit", "--json", "--fetch-retries=0", "--fetch-timeout=5000"];
  const lock = readFileSync(new URL("../package-lock.json", import.meta.url), "utf8");
  const { stdout } = spawnSync("npm", words, {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    encoding: "utf8",
    timeout: 30_000,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const { found, line } = verdict(
    stdout ?? "",
    runtimePackages(lock).map(({ name }) => name),
  );
  console.log(line);
  process.exit(found ? 1 : 0);
}
