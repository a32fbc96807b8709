import { expect, test } from "vitest";
import { banner, dashboardText, said, tunnelBlock } from "../../src/ui/banner.ts";

test("the block at the start names everything once, each line behind our name", () => {
  const text = banner({
    version: "0.1.0",
    launcher: "Open MPI",
    size: 16,
    hosts: ["n001", "n002", "n003", "n004"],
    roles: [
      { role: "scheduler", ranks: [0] },
      { role: "client", ranks: [1] },
      { role: "workers", ranks: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] },
    ],
    workers: { number: 14, threads: [2], memory: [4 * 1024 ** 3] },
    python: "3.11.7",
    pythonPath: "/opt/env/bin/python",
    dask: "2026.8.0",
    scheduler: "tls://10.0.0.1:34567",
    dashboard: "http://n001:8787/status",
    folder: "/scratch/me/.tsdask-4f2a",
    schedulerFile: "/scratch/me/scheduler.json",
    notes: ["the dashboard asks for a token: tsdask-mpi connect shows the link"],
  });
  expect(text).toBe(`\
tsdask-mpi: 0.1.0, 16 ranks started by Open MPI on 4 hosts, n[001-004]
tsdask-mpi:   roles      rank 0 scheduler, rank 1 client, ranks 2-15 workers
tsdask-mpi:   workers    14, each with 2 threads and 4 GiB
tsdask-mpi:   python     3.11.7 (/opt/env/bin/python), Dask 2026.8.0
tsdask-mpi:   scheduler  tls://10.0.0.1:34567
tsdask-mpi:   dashboard  http://n001:8787/status
tsdask-mpi:   folder     /scratch/me/.tsdask-4f2a
tsdask-mpi:   file       /scratch/me/scheduler.json
tsdask-mpi:   the dashboard asks for a token: tsdask-mpi connect shows the link
`);
});

test("what is not known is left out", () => {
  expect(banner({ version: "0.1.0" })).toBe("tsdask-mpi: 0.1.0\n");
  expect(banner({ version: "0.1.0", size: 1, hosts: ["h1"] })).toBe("tsdask-mpi: 0.1.0, 1 rank on h1\n");
});

test("unlike workers are shown with their least and most", () => {
  const text = banner({ version: "1", workers: { number: 3, threads: [1, 2, 4], memory: [1024 ** 3, 2 * 1024 ** 3] } });
  expect(text).toContain("3, each with 1 to 4 threads and 1 GiB to 2 GiB");
});

test("the tunnel lines come as they are, under a heading", () => {
  expect(tunnelBlock(["ssh -N -L 8787:n001:8787 me@login"])).toBe(
    "tsdask-mpi: from your own computer:\ntsdask-mpi:   ssh -N -L 8787:n001:8787 me@login\n",
  );
});

test("every line of ours carries our name, so that it can be told from the script's", () => {
  expect(said("a\n\nb")).toBe("tsdask-mpi: a\ntsdask-mpi:\ntsdask-mpi: b\n");
});

test("no name of a file or host steers the terminal", () => {
  const evil = "/tmp/evil\u001b]0;x\u0007\u009b31m\u202e";
  const shown = String.raw`/tmp/evil\u001b]0;x\u0007\u009b31m\u202e`;
  const text = banner({
    version: "1",
    schedulerFile: evil,
    folder: evil,
    python: "3",
    pythonPath: evil,
    notes: [evil],
  });
  expect(text.split(shown)).toHaveLength(5);
  expect(text + tunnelBlock([evil]) + said(evil)).not.toMatch(/[\u001b\u0007\u009b\u202e]/);
});

test("a dashboard on another port than the one asked for says so", () => {
  expect(dashboardText({ host: "h1", port: 8787, asked: ":8787" })).toBe("http://h1:8787/status");
  expect(dashboardText({ host: "h1", port: 40001, asked: "h1:8787" })).toBe(
    "http://h1:40001/status (port 8787 was taken)",
  );
  expect(dashboardText({ host: "h1", port: 40001, asked: ":0" })).toBe("http://h1:40001/status");
  expect(dashboardText({ host: "h1", port: 40001 })).toBe("http://h1:40001/status");
});
