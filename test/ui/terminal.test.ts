import { expect, test } from "vitest";
import { terminalBehind, type ProcessView } from "../../src/ui/terminal.ts";

const view = (table: Record<number, Partial<ProcessView>>) => (pid: number) => {
  const found = table[pid];
  return found && { parent: 1, name: "bash", args: [], stderr: "/dev/pts/1", ...found };
};

test("a launcher on a terminal is a terminal", () => {
  const seen = view({
    10: { parent: 9, name: "hydra_pmi_proxy", stderr: "pipe:[1]" },
    9: { parent: 8, name: "mpiexec.hydra" },
    8: {},
  });
  expect(terminalBehind({ own: false, pid: 10, view: seen })).toBe(true);
});

test("a launcher whose output goes to a file is none", () => {
  const seen = view({ 9: { parent: 8, name: "mpirun", stderr: "/home/me/err.txt" }, 8: {} });
  expect(terminalBehind({ own: false, pid: 9, view: seen })).toBe(false);
});

test("a launcher that labels the lines of its ranks is none", () => {
  const labelled = view({
    9: { parent: 8, name: "mpirun", args: ["mpirun", "--tag-output", "-np", "2", "tsdask-mpi", "x.py"] },
  });
  expect(terminalBehind({ own: false, pid: 9, view: labelled })).toBe(false);
  const scripts = view({ 9: { parent: 8, name: "mpirun", args: ["mpirun", "-np", "2", "tsdask-mpi", "x.py", "-l"] } });
  expect(terminalBehind({ own: false, pid: 9, view: scripts })).toBe(true);
});

test("without a launcher only the own descriptor counts", () => {
  expect(terminalBehind({ own: false, pid: 8, view: view({ 8: {} }) })).toBe(false);
  expect(terminalBehind({ own: true, pid: 8, view: () => undefined })).toBe(true);
});

test("the real processes above this one can be read", () => {
  expect(typeof terminalBehind()).toBe("boolean");
});
