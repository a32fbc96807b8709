import { expect, test, vi } from "vitest";
import { readNumber, readNumbers } from "../bench/lib/options.ts";

test("a benchmark's numbers are whole ones; what is none is refused with 64", () => {
  expect(readNumbers("ranks", "4, 8,16")).toEqual([4, 8, 16]);
  expect(readNumber("list", "0", 0)).toBe(0);
  const said = vi.spyOn(console, "error").mockReturnValue();
  const exit = vi.spyOn(process, "exit").mockImplementation((code) => {
    throw new Error(`exit ${code}`);
  });
  for (const text of ["abc", "", "4,", "1.5", "0", "-1", "1e3", "NaN"])
    expect(() => readNumbers("ranks", text), text).toThrow("exit 64");
  expect(said).toHaveBeenCalledWith('--ranks: "abc" is no whole number from 1 on.');
  exit.mockRestore();
  said.mockRestore();
});
