// A storm: launches of random size and script, and what befalls them at random moments; each is judged by how it ends.
// Usage: npm run chaos -- [--rounds 100] [--seed N] [--launchers openmpi,mpich,srun,local] [--from 1] [--within 10]
// [--seconds S] [--verbose] The same seed, number and launchers give the same round: what is printed beside a finding
// plays it again. Ends with 1 when something was found.
import { readOptions, refuse } from "../../bench/lib/options.ts";
import { hostsAvailable } from "../integration/bed/hosts.ts";
import { isRoot } from "../integration/bed/command.ts";
import { availableLaunchers } from "../integration/bed/launchers.ts";
import { tell } from "../integration/bed/run.ts";
import { stopSlurm } from "../integration/bed/slurm.ts";
import { describeRound, planRound, type StormLauncher, stormLaunchers } from "./plan.ts";
import { playRound } from "./play.ts";

const { values } = readOptions(import.meta.filename, {
  options: {
    rounds: { type: "string", default: "100" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    launchers: { type: "string", default: Object.keys(stormLaunchers).join() },
    from: { type: "string", default: "1" },
    within: { type: "string", default: "10" },
    seconds: { type: "string", default: "1000000" },
    verbose: { type: "boolean", default: false },
  },
});

const no = (text: string): never => refuse(`chaos: ${text}`);
for (const name of ["rounds", "seed", "from", "within", "seconds"] as const)
  if (!/^\d{1,7}$/.test(values[name])) no(`--${name} is a whole number of at most seven digits, not ${values[name]}`);
const wanted = values.launchers.split(",");
const unknown = wanted.filter((name) => !(name in stormLaunchers));
if (unknown.length > 0) no(`--launchers: ${unknown.join()} is none of ${Object.keys(stormLaunchers).join()}`);
const launchers = (wanted as StormLauncher[]).filter((name) => {
  const there = availableLaunchers(stormLaunchers[name]).length > 0;
  if (!there) console.error(`chaos: ${name} is not here, and is left out`);
  return there;
});
if (launchers.length === 0) no("none of these launchers is here");

const means = { mounts: isRoot, hosts: hostsAvailable() === true };
const [seed, from, rounds] = [Number(values.seed), Number(values.from), Number(values.rounds)];
const until = performance.now() + Number(values.seconds) * 1000;
let [found, played, swept] = [0, 0, 0];
let stopping = false;
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    stopping = true;
    console.error("chaos: this round is the last; once more ends it at once, and leaves what it runs");
  });
console.log(`seed ${seed}, ${launchers.join()}`);
for (let number = from; number < from + rounds && !stopping && performance.now() < until; number += 1) {
  const round = planRound(seed, number, launchers, means);
  const began = performance.now();
  const verdict = await playRound(round, Number(values.within));
  const took = ((performance.now() - began) / 1000).toFixed(1);
  played += 1;
  swept += verdict.swept ? 1 : 0;
  const ending = verdict.finished === undefined ? "still ran" : (verdict.finished.code ?? verdict.finished.signal);
  console.log(`${number}: ${describeRound(round)} [${verdict.done.join("; ")}] → ${ending}, ${took} s`);
  if (verdict.findings.length === 0) {
    if (values.verbose && verdict.finished !== undefined) console.log(tell(verdict.finished));
    continue;
  }
  found += 1;
  const said = verdict.finished === undefined ? "" : tell(verdict.finished);
  const again = `--seed ${seed} --from ${number} --rounds 1 --launchers ${launchers.join()}`;
  console.log(`  FOUND (${again}): ${verdict.findings.join("\n  ")}\n${said}`);
}
console.log(`${played} rounds, ${found} with findings; ${swept} left files for the next launch to remove`);
await stopSlurm();
process.exitCode = found === 0 ? 0 : 1;
