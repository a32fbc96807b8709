import { describe, expect, test } from "vitest";
import { readOptions } from "../../src/config/read.ts";
import { anonymous, withoutSecrets } from "../../src/doctor/anonymous.ts";
import { bundleText } from "../../src/doctor/bundle.ts";
import { compareRows, type Findings, type Met } from "../../src/doctor/compare.ts";
import { familyOf, otherFamily } from "../../src/doctor/launcher.ts";
import { fileSystemName, isShared } from "../../src/net/file-systems.ts";
import { rowsOfLimits, shareRows } from "../../src/doctor/limits.ts";
import { mergeReports } from "../../src/doctor/merge.ts";
import { reportJson, reportText, verdict } from "../../src/doctor/render.ts";
import { fine, message, type HostReport, type Row } from "../../src/doctor/row.ts";

const host = (name: string, ...rows: Row[]): HostReport => ({ host: name, ranks: 2, rows });
const python = (version: string): Row => fine("python", "dask", `Dask ${version}`, { same: version });

describe("reports of several hosts", () => {
  test("what all have stands once, without hosts", () => {
    const rows = mergeReports([host("h1", python("2026.8.0")), host("h2", python("2026.8.0"))]);
    expect(rows).toEqual([python("2026.8.0")]);
    expect(verdict(rows)).toBe("All is well.");
  });

  test("the odd one out is named, with the code of the message that the launch would end with", () => {
    const rows = mergeReports([
      host("h1", python("2026.8.0")),
      host("h2", python("2024.1.0")),
      host("h3", python("2026.8.0")),
    ]);
    const odd = rows.find(({ state }) => state === "error");
    expect(odd).toMatchObject({ code: "TSD-044", hosts: ["h2"] });
    expect(odd?.text).toMatch(/Dask 2026\.8\.0 on \S+; Dask 2024\.1\.0 on h2/);
  });

  test("what may differ is shown for each, and is no finding", () => {
    const rows = mergeReports([
      host("h1", fine("limits", "memory", "64 GiB")),
      host("h2", fine("limits", "memory", "128 GiB")),
    ]);
    expect(rows.map(({ state, hosts }) => [state, hosts])).toEqual([
      ["ok", ["h1"]],
      ["ok", ["h2"]],
    ]);
  });

  test("the same finding on several hosts is one row, whatever their names are", () => {
    const missing = (name: string): Row =>
      message("python", "python", "TSD-041", { python: "/x/python", host: name, problem: "it is not there" });
    const rows = mergeReports([host("h1", missing("h1")), host("h2", missing("h2")), host("h3", python("1"))]);
    const [row] = rows.filter(({ code }) => code === "TSD-041");
    expect(row?.hosts).toEqual(["h1", "h2"]);
  });
});

test("a report names cause, cure and code under a finding, and its verdict last", () => {
  const rows = mergeReports([
    host("h1", message("files", "TMPDIR", "TSD-071", { path: "/tmp/x", problem: "it is a link" })),
  ]);
  const text = reportText(rows, { hosts: ["h1"] });
  expect(text).toMatch(/ERROR {3}TMPDIR .*\n +cause: .+\n +cure: .+\n +code: {2}TSD-071/);
  expect(text.trimEnd().endsWith("1 error.")).toBe(true);
  expect(JSON.parse(reportJson(rows, ["h1"]))).toMatchObject({ state: "error", hosts: ["h1"] });
});

test("what differs among many hosts and is well on all of them takes one line; findings are shown all", () => {
  const rows = mergeReports(
    [1, 2, 3, 4, 5, 6].map((n) =>
      host(
        `h${n}`,
        fine("hosts", "address", `10.0.0.${n}`),
        message("files", "TMPDIR", "TSD-071", { path: `/tmp/${n}`, problem: "it is a link" }),
      ),
    ),
  );
  const text = reportText(rows, { hosts: ["h1", "h2", "h3", "h4", "h5", "h6"] });
  expect(text.match(/^ +ok .*$/gm)).toEqual([
    "  ok      address          [h[1-6]] 10.0.0.1, and 5 others (--json has all)",
  ]);
  expect(text.match(/^ +ERROR /gm)).toHaveLength(6);
});

test("limits: too small ones are findings, and root is not held to that of processes", () => {
  const small = { files: 256, processes: 20, addressSpace: 1_000_000_000 };
  const states = (root: boolean): string[] =>
    rowsOfLimits(small, { host: "h1", root, workers: 0 }).map(({ state }) => state);
  expect(states(false)).toEqual(["warning", "error", "error"]);
  expect(states(true)).toEqual(["warning", "ok", "error"]);
  const [files] = rowsOfLimits({ ...small, files: 4_096 }, { host: "h1", root: true, workers: 3_000 });
  expect(files).toMatchObject({ state: "warning", code: "TSD-194" });
  const none = { files: undefined, processes: undefined, addressSpace: undefined };
  expect(rowsOfLimits(none, { host: "h1", root: false, workers: 3_000 }).every(({ state }) => state === "ok")).toBe(
    true,
  );
});

test("each worker's part of a host is told where the number of ranks is known, and little memory is foretold", async () => {
  const { options } = await readOptions({ argv: ["script.py"], env: {}, cwd: "/w", home: "/h" });
  const grant = { cpus: 8, cpuList: [0, 1, 2, 3, 4, 5, 6, 7], memory: 32 * 2 ** 30, why: { cpus: "", memory: "" } };
  const rows = (world: Parameters<typeof shareRows>[2], memoryLimit = options.memoryLimit): Row[] =>
    shareRows(grant, { ...options, memoryLimit }, world);
  expect(rows({ rank: 0, size: 6, localSize: 6 })[0]?.text).toBe("2 threads and 6.4 GiB for each of 4 workers");
  // The second host has neither scheduler nor script.
  expect(rows({ rank: 4, size: 8, localSize: 4 })[0]?.text).toBe("2 threads and 8 GiB for each of 4 workers");
  expect(rows({ rank: 2, size: 3, localSize: 1 })[0]?.text).toBe("8 threads and 32 GiB for its worker");
  expect(rows({ rank: 0, size: 0 })).toEqual([]);
  const [row] = rows({ rank: 0, size: 6, localSize: 6 }, { kind: "bytes", bytes: 50_000_000 });
  expect(row).toMatchObject({ state: "warning", code: "TSD-198", text: expect.stringContaining("47.7 MiB") });
});

test("file systems by their types, and which of them hosts share", () => {
  expect([0x6969, 0x0bd00bd0, 0x19830326, 0x01021997, 0xef53].map(fileSystemName)).toEqual([
    "NFS",
    "Lustre",
    "BeeGFS",
    "9p",
    "ext4",
  ]);
  expect([0x6969, 0x19830326, 0xef53, 0x01021994].map(isShared)).toEqual([true, true, false, false]);
  expect(fileSystemName(0x1234)).toBe("file system 0x1234");
});

test("an mpirun's family is known by its words", () => {
  expect(familyOf("mpirun (Open MPI) 4.1.4")).toEqual({ launcher: "openmpi", title: "Open MPI 4.1.4" });
  expect(familyOf("HYDRA build details:\n    Version:    4.0.2")).toMatchObject({
    launcher: "hydra",
    title: "MPICH 4.0.2",
  });
  expect(familyOf("something")).toBeUndefined();
  expect(otherFamily("openmpi", "hydra")).toBe(true);
  expect(otherFamily("slurm", "openmpi")).toBe(false);
});

test("a bundle has no secrets, no names of others, and only the variables that matter", () => {
  const env = {
    HOME: "/home/me",
    USER: "me",
    TSDASK_API_KEY: "abc",
    SLURM_JOB_ID: "7",
    MAIL: "me@x",
    PYTHONPATH: "/home/you/lib:/home/me/lib",
  };
  const text = bundleText([fine("files", "folder", "/home/me/run and /home/you/run")], {
    hosts: ["h1"],
    env,
    now: new Date(0),
    launches: ["nightly: ended", "  TSD-054 All 2 worker(s) are lost: /home/you/x?token=abc"],
  });
  expect(text).toContain("TSD-054 All 2 worker(s) are lost: /home/[user]/x?token=[hidden]");
  expect(text).toContain("SLURM_JOB_ID=7");
  expect(text).toContain("TSDASK_API_KEY=[hidden]");
  expect(text).toContain("PYTHONPATH=/home/[user]/lib:~/lib");
  expect(text).not.toMatch(/abc|\/home\/you|MAIL/);
  expect(anonymous("/home/you/x", {})).toBe("/home/[user]/x");
});

test("a bundle hides secrets by the names before them, wherever they stand", () => {
  const env = {
    DASK_FOO__PWD: "hunter3",
    DASK_SSH__PASSPHRASE: "hunter4",
    DASK_GATEWAY__PROXY: "https://bob:hun/t@r2@gw.example/",
    DASK_INTERNAL_INHERIT_CONFIG: "aHVudGVy",
    DASK_STORAGE: `{"key": "AKhunter", 'client_secret': 'hunter5', "region": "eu"}`,
    OMPI_MCA_mca_base_env_list: `A=1;AWS_SECRET_ACCESS_KEY=hunter6;MY_TOKEN="hunter 7";B=1`,
  };
  const text = bundleText([], { hosts: ["h1"], env, now: new Date(0), launches: ["--db-password=hunter8 ended"] });
  expect(text).not.toMatch(/hun|AK|aHV/);
  for (const shown of [
    "DASK_GATEWAY__PROXY=https://[hidden]@gw.example/",
    `DASK_STORAGE={"key": [hidden]`,
    `"region": "eu"`,
    "OMPI_MCA_mca_base_env_list=A=1;AWS_SECRET_ACCESS_KEY=[hidden];MY_TOKEN=[hidden];B=1",
    "--db-password=[hidden] ended",
  ])
    expect(text).toContain(shown);
  const harmless = "PATH=/opt/key:/usr/bin tls://10.0.0.1:8786 tcp://h:1, me@login A=b the key: it is closed";
  expect(withoutSecrets(harmless)).toBe(harmless);
  const before = process.cpuUsage();
  withoutSecrets(`${"key".repeat(50_000)} ${"a".repeat(150_000)} ${"//".repeat(2_000)}`);
  // The processor's time: others may have it meanwhile.
  expect(process.cpuUsage(before).user).toBeLessThan(2_000_000);
});

describe("paths in a bundle", () => {
  const env = { HOME: "/home/a/", USER: "me" };
  const told = (text: string, owners: Readonly<Record<string, number>> = {}): string =>
    anonymous(text, env, (path) => owners[path]);

  test("have ~ for the own home folder, and for no other", () => {
    expect(told("/home/a /home/a/x:/home/a, (/home/a) in /home/a.")).toBe("~ ~/x:~, (~) in ~.");
    expect(told("/home/ada/lib /home/a.b /home/a-2")).toBe("/home/[user]/lib /home/[user] /home/[user]");
    expect(told("/mnt/home/me/x")).toBe("/mnt/home/me/x");
  });

  test("name no other users, who are known by the place of a folder", () => {
    expect(told("L=/work/bob/lib:/scratch/users2/bob/lib:/data/bob/x")).toBe(
      "L=/work/[user]/lib:/scratch/users2/[user]/lib:/data/[user]/x",
    );
    expect(told("file:///gpfs/fs1/home/bob. //lustre//bob/x")).toBe("file:///gpfs/fs1/home/[user]. //lustre//[user]/x");
    const kept = "/usr/lib/x /opt/sw/bin /cluster/x/y /work /scratch/me/bob https://h/a/b ~/bob a/b /tmp/x";
    expect(told(kept)).toBe(kept);
  });

  test("name no other users, who are known by whose the folder is", () => {
    const uid = process.getuid?.() ?? 0;
    const others = {
      "/data": 0,
      "/data/sw": 0,
      "/data/sw/py": 0,
      "/cluster/bob": 54_321,
      "/tmp": 0,
      "/tmp/bob": 54_321,
    };
    expect(told("/data/sw/py/gone /cluster/bob/x /tmp/bob/x", others)).toBe(
      "/data/sw/py/gone /cluster/[user]/x /tmp/[user]/x",
    );
    expect(told("/work/mine/bob", { "/work": 0, "/work/mine": uid })).toBe("/work/mine/bob");
  });
});

describe("hosts that have met", () => {
  const findings = (name: string): Findings => ({ ...host(name, fine("hosts", "address", name)), ...nothing() });
  const nothing = (): Pick<Findings, "addresses" | "unreachable" | "nameless"> => ({
    addresses: [],
    unreachable: [],
    nameless: [],
  });
  const met = (name: string, rest: Partial<Met> = {}): Met => ({
    channel: {} as Met["channel"],
    host: name,
    rank: 1,
    clock: undefined,
    ...rest,
  });
  const world: Parameters<typeof compareRows>[0]["world"] = { launcher: "openmpi", rank: 0, size: 6, localSize: 2 };
  const reach = { unreachable: [], nameless: ["h1"], shared: true };
  const rowsOf = (byName: boolean, last: Met): readonly Row[] =>
    compareRows({
      zero: findings("h1"),
      met: [met("h2", { findings: findings("h2"), reach }), last],
      ...{ world, rows: [], pmi: false, byName },
    }).flatMap(({ rows }) => rows);

  test("one that is still looking when the time is over is named, and whatever it says later breaks nothing", () => {
    for (const late of [met("h3"), met("h3", { reach })]) {
      const row = rowsOf(false, late).find(({ code }) => code === "TSD-034");
      expect(row?.text).toBe(
        "the hosts of 2 of 6 ranks did not report; h3 met, but had not looked at everything in time",
      );
    }
  });

  test("names that lead nowhere are a finding where names are told, and told of otherwise", () => {
    const all = met("h3", { findings: findings("h3"), reach: { ...reach, nameless: [] } });
    const names = (byName: boolean): Row[] => rowsOf(byName, all).filter(({ name }) => name === "names");
    expect(names(false).map(({ state }) => state)).toEqual(["ok", "ok", "ok"]);
    expect(names(false)[1]?.text).toContain("does not know the names h1");
    expect(names(true).map(({ state, code }) => [state, code])).toEqual([
      ["ok", undefined],
      ["error", "TSD-064"],
      ["ok", undefined],
    ]);
  });
});
