import { afterEach, expect, test, vi } from "vitest";
import { needsNoFolder, workingFolder } from "../../src/launcher/working-folder.ts";

afterEach(() => vi.restoreAllMocks());

test("a folder that is there is itself, one that is gone has the name it had", () => {
  const here = process.cwd();
  expect(workingFolder()).toEqual({ path: here, gone: false });
  vi.spyOn(process, "cwd").mockImplementation(() => {
    throw Object.assign(new Error("ENOENT: process.cwd failed, uv_cwd"), { code: "ENOENT" });
  });
  expect(workingFolder()).toEqual({ path: here, gone: true });
});

test("what has a name needs no folder, what works or submits in one does", () => {
  expect(["list", "stop", "version", "help", "logs"].filter(needsNoFolder)).toHaveLength(5);
  expect(["launch", "script", "doctor", "report", "scale", "adapt"].filter(needsNoFolder)).toEqual([]);
});
