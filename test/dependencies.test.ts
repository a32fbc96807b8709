import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
// @ts-expect-error: a script in plain JavaScript, which the build uses without a compiler.
import { verdict } from "../scripts/advisories.mjs";
// @ts-expect-error: likewise.
import { checkBundled, dependenciesPage, runtimePackages } from "../scripts/dependencies.mjs";

const root = join(import.meta.dirname, "..");
const lock = readFileSync(join(root, "package-lock.json"), "utf8");
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

test("docs/dependencies.md is what the lock file says, with a reason for each chosen package", () => {
  expect(readFileSync(join(root, "docs", "dependencies.md"), "utf8")).toBe(
    (dependenciesPage as (text: string) => string)(lock),
  );
});

describe("what runs with the product", () => {
  const packages = (
    runtimePackages as (text: string) => readonly {
      readonly name: string;
      readonly path: string;
      readonly license?: string;
      readonly integrity?: string;
      readonly hasInstallScript?: boolean;
    }[]
  )(lock);
  test.each(packages)(
    "$name has a free licence, a hash, and no script to run when it is installed",
    ({ license, integrity, hasInstallScript }) => {
      expect(license).toMatch(/^(MIT|ISC|BSD-3-Clause|BSD-2-Clause|Apache-2\.0|0BSD)$/);
      expect(integrity).toMatch(/^sha512-/);
      expect(hasInstallScript).toBeUndefined();
    },
  );
  test("is what is bundled", () => {
    const check = checkBundled as (text: string, inputs: readonly string[]) => void;
    const places = packages.map(({ path }) => `${path}/index.js`);
    check(lock, places);
    expect(() =>
      check(
        lock,
        places.filter((path) => !path.startsWith("node_modules/ws/")),
      ),
    ).toThrow(": ws");
    expect(() => check(lock, [...places, "node_modules/vitest/dist/index.js"])).toThrow(": node_modules/vitest");
  });
  test("is nothing that npm installs beside the package", () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { dependencies?: unknown };
    expect(dependencies).toBeUndefined();
  });
  test("nor has any other package's script to be run", () => {
    const callers = ["scripts/lib/setup.sh", "packaging/backend.py"].map((path) =>
      readFileSync(join(root, path), "utf8"),
    );
    for (const text of callers)
      expect(text.match(/\bci\b["', ]+--ignore-scripts\b/g), text.slice(0, 80)).toHaveLength(1);
    // There it would keep an npm before 7 from the script that was asked for, such as that of `npm start`.
    expect(readFileSync(join(root, ".npmrc"), "utf8")).not.toContain("ignore-scripts");
  });
});

test("two builds are the same byte for byte, and say what they are made of", () => {
  const [one, other] = [0, 1].map(() => {
    const folder = mkdtempSync(join(tmpdir(), "tsdask-build-"));
    folders.push(folder);
    execFileSync(process.execPath, [join(root, "scripts", "build.mjs"), "--out", join(folder, "dist")], {
      stdio: "ignore",
    });
    const names = readdirSync(join(folder, "dist"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    return Object.fromEntries(names.map((name) => [name.slice(folder.length), readFileSync(name, "utf8")]));
  });
  expect(Object.keys(one ?? {}).length).toBeGreaterThan(10);
  expect(other).toEqual(one);
  const bom = JSON.parse(one?.["/dist/sbom.cdx.json"] ?? "") as {
    readonly bomFormat: string;
    readonly components: readonly { readonly name: string }[];
  };
  expect(bom.bomFormat).toBe("CycloneDX");
  expect(bom.components.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["commander", "ws", "yaml", "valibot"]),
  );
});

describe("the list of advisories", () => {
  const ask = verdict as (
    text: string,
    packages: readonly string[],
  ) => { readonly found: boolean; readonly line: string };
  const say = (text: string) => ask(text, ["ws", "yaml"]);

  test("names the package, its versions and how grave it is, of those that run", () => {
    const report = {
      auditReportVersion: 2,
      vulnerabilities: {
        ws: { name: "ws", severity: "high", range: "<8.17.1" },
        vitest: { name: "vitest", severity: "high", range: "<9" },
      },
    };
    expect(say(JSON.stringify(report))).toEqual({ found: true, line: "advisories are known: ws <8.17.1 (high)" });
  });

  test.each([
    [JSON.stringify({ auditReportVersion: 2, vulnerabilities: {} }), "no advisory is known"],
    [JSON.stringify({ message: "405 Method Not Allowed", error: { summary: "" } }), "could not be asked: 405"],
    ["", "could not be asked: npm gave no answer"],
    ["null", "could not be asked"],
  ])("says so when there is nothing to name: %s", (text, words) => {
    expect(say(text)).toMatchObject({ found: false, line: expect.stringContaining(words) });
  });
});
