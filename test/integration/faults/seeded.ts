import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Command, command } from "../bed/command.ts";
import { type Clean, nothingLeft } from "../bed/left.ts";
import { type Finished, run, tell } from "../bed/run.ts";
import { tsdask } from "../launch.ts";
import { python } from "../bed/pythons.ts";

/** A script that any worker will do for. */
const works = `
from dask.distributed import Client

if __name__ == "__main__":
    print("total", Client().submit(sum, range(1000)).result(), flush=True)
`;

/** How a launch is started: what of it a fault changes, and its cure changes back. */
export interface Setting {
  /** Words before the script; `--np 3` and the tests' Python where nothing is said. */
  readonly options?: readonly string[];
  readonly np?: number;
  readonly python?: string;
  readonly script?: readonly string[];
  /** In its values, `{folder}` is the launch's folder. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Files of its folder by name; null takes away what the fault put there. */
  readonly files?: Readonly<Record<string, string | null>>;
  readonly wrap?: (command: Command, clean: Clean) => Command;
}

export interface Seeded extends Setting {
  readonly name: string;
  /** Whether it can be seeded here. */
  readonly when?: boolean;
  readonly code: `TSD-${number}`;
  readonly exit: number;
  /** What the message must name: the file and line, the variable, the module, the limit. */
  readonly names: RegExp;
  /** What its cure must say. */
  readonly says: RegExp;
  /** The same launch after the cure was followed. */
  readonly cure: Setting;
}

/** Each fault is told within this time (s), also on a slow machine: long before the launch gives up, after 300 s. */
const toldWithin = 120;

/** The command of a setting, with its files in the folder. */
function prepared(clean: Clean, { np = 3, ...setting }: Setting, words: readonly string[]): Command {
  for (const [name, text] of Object.entries({ "script.py": works, ...setting.files })) {
    if (text === null) rmSync(join(clean.folder, name), { recursive: true, force: true });
    else clean.write(name, text);
  }
  const program =
    setting.python === undefined ? ["--python", python().path] : setting.python.split(" ").filter(Boolean);
  const [first = "", ...rest] = [tsdask, ...(np === 0 ? [] : ["--np", String(np)]), ...program, ...words];
  const plain = command(first, ...rest);
  return setting.wrap?.(plain, clean) ?? plain;
}

async function start(clean: Clean, setting: Setting, words: readonly string[]): Promise<Finished> {
  const env = Object.fromEntries(
    Object.entries(setting.env ?? {}).map(([name, value]) => [name, value?.replaceAll("{folder}", clean.folder)]),
  );
  return run(prepared(clean, setting, words), { folder: clean.folder, env: { ...clean.env, ...env } });
}

/** Seeds a fault, looks at what is said, follows the cure, and sees the launch work. */
export async function tellsAndMends(fault: Seeded): Promise<void> {
  await using clean = nothingLeft();
  const launch = ({ options = [], script = ["script.py"] }: Setting): string[] => [...options, ...script];
  const failed = await start(clean, fault, launch(fault));
  const all = tell(failed);
  expect(failed.code, all).toBe(fault.exit);
  expect(failed.seconds, all).toBeLessThan(toldWithin);
  expectTold(failed.stderr, fault);
  expect(failed.stderr, "a rank that was not told").not.toContain("TSD-020");
  const mended = await start(clean, fault.cure, launch(fault.cure));
  expect(mended.code, `after the cure:\n${tell(mended)}`).toBe(0);
  expect(mended.stderr, `after the cure:\n${tell(mended)}`).not.toContain(fault.code);
}

/** What is said of a fault: its code first and once, what it names, its cure, and no traceback of machinery. */
export function expectTold(stderr: string, { code, names, says }: Pick<Seeded, "code" | "names" | "says">): void {
  const blocks = stderr.split(/^(?:tsdask-mpi: )?(?=TSD-\d{3} )/m);
  expect(blocks.filter((block) => block.startsWith(code)).length, stderr).toBe(1);
  const block = blocks.find((one) => one.startsWith(code)) ?? "";
  expect(block, stderr).toMatch(names);
  expect(/cure: .*/.exec(block)?.[0], stderr).toMatch(says);
  expect(stderr, "a traceback of machinery").not.toMatch(/^ +at .+:\d+:\d+\)?$|^\[.*Traceback|tsdask_mpi.*", line/m);
}

/** What the doctor says of a fault beforehand, and no more once the cure was followed. */
export async function doctorTells(
  fault: Omit<Seeded, "exit"> & { readonly state: "warning" | "error" },
): Promise<void> {
  await using clean = nothingLeft();
  const look = async (setting: Setting): Promise<Finished> => {
    const { file, args, env } = prepared(clean, { ...setting, np: 0, wrap: (same) => same }, setting.options ?? []);
    const doctor = command(file, "doctor", ...args);
    const values = { ...env, ...setting.env };
    const own = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, value?.replaceAll("{folder}", clean.folder)]),
    );
    return run(setting.wrap?.(doctor, clean) ?? doctor, {
      folder: clean.folder,
      env: { ...clean.env, ...own },
    });
  };
  const ill = await look(fault);
  const all = tell(ill);
  expect(ill.code, all).toBe(fault.state === "error" ? 69 : 0);
  expect(ill.seconds, all).toBeLessThan(toldWithin);
  const row = ill.stdout.split(/^(?= {2}(?:ok|warning|ERROR) )/m).find((one) => one.includes(`code:  ${fault.code},`));
  expect(row, all).toMatch(new RegExp(`^ {2}${fault.state === "error" ? "ERROR" : "warning"}`));
  expect(row, all).toMatch(fault.names);
  expect(/cure: .*/.exec(row ?? "")?.[0], all).toMatch(fault.says);
  expect(all, "a traceback").not.toContain("Traceback");
  const well = await look(fault.cure);
  expect(well.code, tell(well)).toBe(0);
  expect(well.stdout, tell(well)).not.toContain(`code:  ${fault.code},`);
}
