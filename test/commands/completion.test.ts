import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { commands, launchOptions } from "../../src/commands/catalogue.ts";
import { bashCompletion, completionCommand, fishCompletion, zshCompletion } from "../../src/commands/completion.ts";
import { manPage } from "../../src/commands/man-page.ts";
import { SUBCOMMANDS } from "../../src/config/options.ts";
import { kebab } from "../../src/config/option-names.ts";
import { optionKeys } from "../../src/config/table.ts";
import { command, which } from "../integration/bed/command.ts";
import { output, run } from "../integration/bed/run.ts";

const folder = mkdtempSync(join(tmpdir(), "completion-"));
afterAll(() => rmSync(folder, { recursive: true }));
for (const name of ["analysis.py", "book.ipynb", "scheduler.json", "a file.py", "notes.txt"])
  writeFileSync(join(folder, name), "");
const written = (name: string, text: string): string => {
  const path = join(folder, `.${name}`);
  writeFileSync(path, text);
  return path;
};

/** A PATH on which `tsdask-mpi list --json` tells of two clusters, as it writes them. */
function withClusters(): Readonly<Record<string, string>> {
  const bin = join(folder, ".bin");
  const listed = JSON.stringify([{ name: "calm-otter" }, { name: "nightly" }], undefined, 2);
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "tsdask-mpi"), `#!/bin/sh\n[ "$*" = 'list --json' ] && cat <<'END'\n${listed}\nEND\n`);
  chmodSync(join(bin, "tsdask-mpi"), 0o755);
  return { PATH: `${bin}:${process.env["PATH"]}` };
}

describe("bash completes", () => {
  const file = written("bash", bashCompletion(launchOptions(), commands()));
  const completed = async (...words: string[]): Promise<string[]> => {
    const line = ["tsdask-mpi", ...words].map((word) => `'${word}'`).join(" ");
    const ask = `compopt() { :; }; . '${file}'; IFS=$' \\t\\n'; COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _tsdask_mpi; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const text = await output(command("bash", "--norc", "-c", ask), { folder, env: withClusters() });
    return text.split("\n").filter((word) => word !== "");
  };

  test("options, commands and scripts, but no other file", async () => {
    expect(await completed("--mem")).toEqual(["--memory-limit"]);
    expect(await completed("sc")).toEqual(["script", "scale"]);
    expect(await completed("an")).toEqual(["analysis.py"]);
    expect(await completed("--np", "4", "b")).toEqual(["book.ipynb"]);
    expect(await completed("no")).toEqual([]);
    expect(await completed("a ")).toEqual(["a file.py"]);
  });

  test("values, and the options and words of each command", async () => {
    expect(await completed("--security", "")).toEqual(["tls", "none"]);
    expect(await completed("scale", "4", "--work")).toEqual(["--workers-per-job"]);
    expect(await completed("connect", "s")).toEqual(["scheduler.json"]);
    expect(await completed("stop", "n")).toEqual(["nightly"]);
    expect(await completed("scale", "4", "ca")).toEqual(["calm-otter"]);
    expect(await completed("script", "s")).toEqual(["slurm", "sge"]);
    expect(await completed("completion", "")).toEqual(["bash", "zsh", "fish"]);
    expect(await completed("--python", "n")).toEqual(["notes.txt"]);
    expect(await completed("--python", "a f")).toEqual(["a file.py"]);
    expect(await completed("--np", "")).toEqual([]);
  });

  test("nothing of ours after the script's name", async () => {
    expect(await completed("analysis.py", "--mem")).toEqual([]);
  });
});

if (which("fish") !== undefined)
  test("fish completes options, values and commands", async () => {
    const file = written("fish", fishCompletion(launchOptions(), commands()));
    const completed = async (line: string): Promise<string[]> =>
      (
        await output(command("fish", "--no-config", "-c", `source '${file}'; complete -C '${line}'`), {
          folder,
          env: withClusters(),
        })
      )
        .split("\n")
        .map((text) => text.split("\t")[0] ?? "");
    expect(await completed("tsdask-mpi --mem")).toContain("--memory-limit");
    expect(await completed("tsdask-mpi --security n")).toContain("none");
    expect(await completed("tsdask-mpi sca")).toContain("scale");
    expect(await completed("tsdask-mpi adapt --wait")).toContain("--wait-count");
    expect(await completed("tsdask-mpi logs ni")).toContain("nightly");
    expect(await completed("tsdask-mpi logs sche")).toContain("scheduler.json");
  });

if (which("zsh") !== undefined)
  test("zsh takes it, evaluated and from a file", async () => {
    const file = written("zsh", zshCompletion(launchOptions(), commands()));
    const words = `autoload -U compinit; compinit -D -u; source '${file}'; print $_comps[tsdask-mpi]`;
    expect((await output(command("zsh", "-f", "-c", words), { folder })).trim()).toBe("_tsdask_mpi");
  });

if (which("zsh") !== undefined)
  test("zsh completes values and clusters where a person types", async () => {
    const file = written("zsh", zshCompletion(launchOptions(), commands()));
    const typed = (line: string, seen: string): string =>
      `zpty -w -n z $'${line}\\t'; zpty -r z said '*${seen}*'; print -r -- "\${said##*tsdask-mpi }"; zpty -w -n z $'\\x15'`;
    const shell = [
      "zmodload zsh/zpty; zpty z zsh -f -i",
      `zpty -w z "PS1=; autoload -U compinit; compinit -D -u; source '${file}'; print re''ady"`,
      "zpty -r z said '*ready*'",
      typed("tsdask-mpi stop cal", "calm-otter"),
      typed("tsdask-mpi --security n", "none"),
      "zpty -d z",
    ].join("\n");
    const said = await output(command("zsh", "-f", "-c", shell), { folder, env: withClusters(), deadline: 100 });
    expect(said).toMatch(/stop calm-otter[\s\S]*--security none/);
  });

test("every option and command is in all of them, and in the manual page", () => {
  const texts = [
    bashCompletion(launchOptions(), commands()),
    zshCompletion(launchOptions(), commands()),
    fishCompletion(launchOptions(), commands()).replaceAll(" -l ", " --"),
    manPage().replaceAll("\\-", "-"),
  ];
  for (const text of texts) {
    for (const key of optionKeys) expect(text).toContain(`--${kebab(key)}`);
    for (const name of SUBCOMMANDS) expect(text).toContain(name);
  }
});

if (which("man") !== undefined)
  test("man shows the page without a warning", async () => {
    const file = written("tsdask-mpi.1", manPage());
    const { stdout, stderr } = await run(command("man", "--warnings", "--local-file", file), {
      env: { MANPAGER: "cat", LC_ALL: "C" },
    });
    expect(stderr).toBe("");
    expect(stdout).toContain("--memory-limit <size>");
  });

test("another shell is refused, and without one the usage is shown", async () => {
  let [out, err] = ["", ""];
  const place = {
    env: {},
    cwd: folder,
    stdout: { write: (text: string) => void (out += text) },
    stderr: { write: (text: string) => void (err += text) },
  };
  await expect(completionCommand(["tcsh"], place)).rejects.toMatchObject({ code: "TSD-006" });
  expect(await completionCommand([], place)).toBe(64);
  expect(err).toMatch(/bash\|zsh\|fish/);
  expect(await completionCommand(["--help"], place)).toBe(0);
  expect(out).toMatch(/^Usage: tsdask-mpi completion/);
});
