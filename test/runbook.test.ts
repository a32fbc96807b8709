import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { messages, type MessageCode } from "../src/errors/messages.ts";

const runbook = readFileSync(new URL("../docs/runbook.md", import.meta.url), "utf8");
const parts = ["Symptom", "Cause", "Check", "Shown", "Cure"] as const;

interface Entry {
  readonly code: string;
  readonly title: string;
  readonly exit: number;
  readonly text: string;
}

const entries: Entry[] = runbook
  .split(/^### /m)
  .slice(1)
  .map((section) => {
    const [heading = "", ...lines] = section.split(/\n(?=## )/)[0]?.split("\n") ?? [];
    const [, code = heading, title = "", exit = "NaN"] = /^(TSD-\d{3}) (.+) \(exit (\d+)\)$/.exec(heading) ?? [];
    return { code, title, exit: Number(exit), text: lines.join("\n") };
  });
const codes = Object.keys(messages) as MessageCode[];

test("every message has an entry in the runbook, and every entry a message", () => {
  const written = entries.map(({ code }) => code);
  const without = (some: readonly string[], others: readonly string[]): string[] =>
    some.filter((code) => !others.includes(code));
  const form = (code: string): string =>
    `### ${code} … (exit ${messages[code as MessageCode].exit}), then ${parts.map((part) => `**${part}:** …`).join(", ")}`;
  expect(without(codes, written).map(form), "docs/runbook.md lacks these entries").toEqual([]);
  expect(without(written, codes), "entries of docs/runbook.md that no message has").toEqual([]);
  expect(written.length).toBe(codes.length);
});

test("every message is said somewhere", () => {
  const root = new URL("../", import.meta.url);
  const files = ["src", "bin", "python"].flatMap((folder) =>
    readdirSync(new URL(folder, root), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !/^messages\.ts$|\.pyc(\.\d+)?$/.test(entry.name))
      .map((entry) => readFileSync(`${entry.parentPath}/${entry.name}`, "utf8")),
  );
  const said = new Set(files.flatMap((text) => text.match(/TSD-\d{3}/g) ?? []));
  expect(
    codes.filter((code) => !said.has(code)),
    "nothing in src/, bin/ or python/ names these codes",
  ).toEqual([]);
});

describe.each(entries)("the entry of $code", ({ code, text, exit }) => {
  test("has symptom, cause, what to check, what our own commands show, and cure, in this order, each with something to say", () => {
    const found = [...text.matchAll(/^\*\*(\w+):\*\* ([\s\S]*?)(?=\n\n\*\*|$(?![\s\S]))/gm)];
    expect(found.map(([, part]) => part)).toEqual(parts);
    for (const [, , body = ""] of found) expect(body.trim().length).toBeGreaterThan(20);
  });

  test("names the exit code that the message has", () => {
    expect(exit).toBe(messages[code as MessageCode]?.exit);
  });
});

test("the exit codes that messages use are all explained", () => {
  const table = runbook.slice(runbook.indexOf("## Exit codes"), runbook.indexOf("## Where things are"));
  for (const exit of new Set(Object.values(messages).map((message) => message.exit))) {
    expect(table).toMatch(new RegExp(`^\\| ${exit} \\|`, "m"));
  }
});

describe.each(codes)("the message %s", (code) => {
  const { what, cause, cure } = messages[code];

  test("has a cause and a cure, each a text of one line", () => {
    for (const text of [what, cause, cure]) {
      expect(text.trim()).toBe(text);
      expect(text.length).toBeGreaterThan(4);
      expect(text).not.toMatch(/\n|\t| {2}/);
    }
  });

  test("ends its sentences", () => {
    for (const text of [what, cause, cure]) expect(text).toMatch(/[.?!…)}`]$/);
  });

  test("fills in plain names, and nothing that sounds like a secret", () => {
    for (const [, name = ""] of `${what} ${cause} ${cure}`.matchAll(/\{(\w+)\}/g)) {
      expect(name).not.toMatch(/token|secret|password|pem$/i);
    }
  });
});
