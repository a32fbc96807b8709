import { expect, test } from "vitest";
import { madeName } from "../../src/registry/names.ts";

test("a made name is two short words, the same for the same launch", () => {
  for (let i = 0; i < 500; i += 1)
    expect(madeName(`f57974946b33c1fb.${i.toString(36)}`)).toMatch(/^[a-z]{3,7}-[a-z]{3,7}$/);
  expect(madeName("f57974946b33c1fb.mwqnirrk")).toBe(madeName("f57974946b33c1fb.mwqnirrk"));
});

test("launches that follow each other rarely share a name", () => {
  const names = new Set(Array.from({ length: 100 }, (_, i) => madeName(`f57974946b33c1fb.${(i * 7919).toString(36)}`)));
  expect(names.size).toBeGreaterThan(90);
});
