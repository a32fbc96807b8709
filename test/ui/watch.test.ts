import { afterEach, expect, test, vi } from "vitest";
import { watchScreen } from "../../src/ui/watch.ts";

const { stdout } = process;
const before = Object.getOwnPropertyDescriptors(stdout);
const given = ["isTTY", "columns", "rows"] as const;
afterEach(() => {
  for (const name of given) {
    Reflect.deleteProperty(stdout, name);
    if (before[name] !== undefined) Object.defineProperty(stdout, name, before[name]);
  }
});

test("a terminal that tells no size shows the lines all the same", async () => {
  for (const [name, value] of [
    ["isTTY", true],
    ["columns", 0],
    ["rows", 0],
  ] as const)
    Object.defineProperty(stdout, name, { value, configurable: true, writable: true });
  const look = vi.fn<() => Promise<readonly string[] | { readonly last: readonly string[] }>>();
  look.mockResolvedValueOnce(["4 workers", "x".repeat(100)]).mockResolvedValue({ last: ["over"] });
  const shown: string[] = [];
  expect(await watchScreen(look, { every: 1, write: (text) => shown.push(text) })).toBe(0);
  expect(shown.join("")).toContain("4 workers");
  expect(shown.join("")).toMatch(/(?<!x)x{80}(?!x)/);
  expect(shown.at(-1)).toBe("over\n");
});
