import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { entriesOf, explainCommand } from "../../src/commands/explain.ts";
import { runbookPage } from "../../src/commands/runbook-page.ts";
import { messages } from "../../src/errors/messages.ts";

async function explain(...argv: string[]): Promise<string> {
  let text = "";
  const sink = { write: (part: string) => void (text += part) };
  await explainCommand(argv, { env: {}, cwd: "/", stdout: sink, stderr: sink });
  return text;
}

test("every message can be explained", () => {
  const runbook = readFileSync(new URL("../../docs/runbook.md", import.meta.url), "utf8");
  const found = entriesOf(runbook).map(({ code }) => code);
  expect(Object.keys(messages).filter((code) => !found.includes(code))).toEqual([]);
  expect(found).toEqual(found.toSorted());
});

test("an entry is found by its code, however it is written", async () => {
  const text = await explain("TSD-053");
  expect(text).toMatch(/^TSD-053 .*\(exit 69\)\n\nSymptom: [\s\S]*\nCure: /);
  expect(await explain("tsd-53")).toBe(text);
  expect(await explain("53")).toBe(text);
});

test("without a code all are listed, and a code that is none is refused", async () => {
  expect(await explain()).toMatch(/^TSD-\d{3} {2}\S/);
  await expect(explain("TSD-000")).rejects.toThrow("TSD-151");
  await expect(explain("hello")).rejects.toThrow("TSD-151");
});

test("the runbook as a manual page has every entry, and no character that a C locale lacks", () => {
  const page = runbookPage(readFileSync(new URL("../../docs/runbook.md", import.meta.url), "utf8"));
  expect(Object.keys(messages).filter((code) => !page.includes(`.SS ${code.replace("-", "\\-")} `))).toEqual([]);
  expect(page).not.toMatch(/[^\n\x20-\x7e]|\*\*|\]\(/);
});
