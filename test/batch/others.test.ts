import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { flux } from "../../src/batch/flux.ts";
import { htcondor, parseJobAd } from "../../src/batch/htcondor.ts";
import { kubernetes } from "../../src/batch/kubernetes.ts";
import { lsf } from "../../src/batch/lsf.ts";
import { sge } from "../../src/batch/sge.ts";
import { recordedShell } from "./recorded.ts";

// Recorded on Son of Grid Engine 8.1.9.
describe("Grid Engine", () => {
  const row = (state: string, id: number, more = ""): string =>
    `<job_list state="x"><JB_job_number>${id}</JB_job_number><state>${state}</state>${more}</job_list>`;
  const xml = `<?xml version='1.0'?>\n<job_info  xmlns:xsd="http://arc.liv.ac.uk/x.xsd">\n<queue_info>${row("r", 7, "<JAT_start_time>2026-11-21T00:44:26</JAT_start_time>")}${row("dr", 6)}</queue_info><job_info>${row("qw", 8, "<tasks>1-3:1</tasks>")}${row("hqw", 9)}${row("Eqw", 10)}</job_info>\n</job_info>\n`;

  it("reads states from qstat -xml", async () => {
    const states = await sge.states(
      ["6", "7", "8", "9", "10", "99"],
      recordedShell([[/^qstat -xml$/, { stdout: xml }]]),
    );
    expect(Object.fromEntries(states)).toEqual({
      6: "ending",
      7: "running",
      8: "pending",
      9: "held",
      10: "held",
      99: "gone",
    });
  });
  it("submits many jobs as the tasks of one array, whose waiting ones are one line, and knows the array's mark for each", async () => {
    const shell = recordedShell([
      [/^qsub -terse -ac tsdask=m -t 1-4 \/a\/w.sh$/, { stdout: "8.1-4:1\n" }],
      [/^qstat -xml$/, { stdout: xml }],
      [/^qstat -j 8$/, { stdout: "job_number:                 8\ncontext:                    tsdask=m\n" }],
    ]);
    const ids = (await sge.submitArray?.({ path: "/a/w.sh", mark: "m" }, 4, shell)) ?? [];
    expect(ids).toEqual(["8.1", "8.2", "8.3", "8.4"]);
    const states = await sge.states(ids, shell);
    expect(ids.map((id) => states.get(id))).toEqual(["pending", "pending", "pending", "gone"]);
    const marks = await sge.marks(ids, shell);
    expect(ids.map((id) => marks.get(id))).toEqual(ids.map(() => "tsdask=m"));
  });
  it("tells the end from h_rt and the start", async () => {
    const detail =
      "job_number:                 7\nhard resource_list:         h_rt=100,h_vmem=2G\njob_name:                   t1\n";
    const job = await sge.inquire(
      { system: "sge", jobId: "7" },
      recordedShell([
        [/^qstat -j 7$/, { stdout: detail }],
        [/^qstat -xml -s r$/, { stdout: xml }],
      ]),
    );
    expect(job.endTime).toBe(new Date(2026, 10, 21, 0, 44, 26).getTime() / 1000 + 100);
  });
  it("takes a job that was submitted with a warning as submitted", async () => {
    const stderr =
      'Unable to run job: warning: ada\'s job is not allowed to run in any queue\nYour job 1 ("t1") has been submitted\nExiting.\n';
    await expect(sge.submit({ path: "w.sh" }, recordedShell([[/qsub/, { code: 1, stderr }]]))).resolves.toBe("1");
    await expect(sge.submit({ path: "w.sh" }, recordedShell([[/qsub/, { stdout: "8.1-3:1\n" }]]))).resolves.toBe("8");
    const stdout = 'Your job 9 ("t1") has been submitted\n';
    await expect(sge.submit({ path: "w.sh" }, recordedShell([[/qsub/, { stdout }]]))).resolves.toBe("9");
  });
  it.each([
    ['Unable to run job: Job was rejected because job requests unknown queue "nope"\nExiting.\n', "qconf -sql"],
    [
      'Unable to run job: job rejected: the requested parallel environment "bad" does not exist\nExiting.\n',
      "qconf -spl",
    ],
    ['Unable to run job: unknown resource "foo"\nExiting.\n', "qconf -sc"],
  ])("tells its own words and what to do: %s", async (stderr, cure) => {
    await expect(sge.submit({ path: "w.sh" }, recordedShell([[/qsub/, { code: 1, stderr }]]))).rejects.toThrow(cure);
  });
  it("cancels, and does not mind those that are gone", async () => {
    await sge.cancel(
      ["7", "99"],
      recordedShell([
        [
          /^qdel 7 99$/,
          {
            code: 1,
            stdout: "root has registered the job 7 for deletion\n",
            stderr: 'denied: job "99" does not exist\n',
          },
        ],
      ]),
    );
    await expect(
      sge.cancel(["7"], recordedShell([[/qdel/, { code: 1, stderr: "denied: ada is not the owner of job 7\n" }]])),
    ).rejects.toMatchObject({ code: "TSD-095" });
  });
});

// From the LSF 10.1 command reference: LSF does not run here.
describe("LSF", () => {
  it("submits through standard input", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tsdask-lsf-"));
    const path = join(folder, "w.sh");
    writeFileSync(path, "#BSUB -n 4\n");
    const shell = recordedShell([[/^bsub$/, { stdout: "Job <542935> is submitted to queue <short>.\n" }]]);
    await expect(lsf.submit({ path }, shell)).resolves.toBe("542935");
    expect(shell.asked[0]?.input).toBe("#BSUB -n 4\n");
    await expect(
      lsf.submit(
        { path },
        recordedShell([[/bsub/, { code: 255, stderr: "nope: No such queue. Job not submitted.\n" }]]),
      ),
    ).rejects.toThrow("bqueues");
    rmSync(folder, { recursive: true });
  });
  it.each([
    ["0:56 L\n", 1_003_360],
    ["12:3 X\n", 1_043_380],
    ["-\n", undefined],
  ])("tells the end from time_left %s", async (stdout, endTime) => {
    expect(
      (
        await lsf.inquire(
          { system: "lsf", jobId: "1" },
          recordedShell([[/^bjobs -noheader -o time_left 1$/, { stdout }]]),
        )
      ).endTime,
    ).toBe(endTime);
  });
  it("reads states, of arrays too", async () => {
    const answer = {
      code: 255,
      stdout: "1|0|RUN\n2|1|PEND\n2|2|DONE\n3|0|PSUSP\n4|0|EXIT\n",
      stderr: "Job <5> is not found\n",
    };
    const states = await lsf.states(["1", "2", "2[2]", "3", "4", "5"], recordedShell([[/^bjobs -a/, answer]]));
    expect([...states.values()]).toEqual(["running", "pending", "gone", "held", "gone", "gone"]);
  });
  it("cancels, and does not mind those that are gone", async () => {
    await lsf.cancel(
      ["1", "5"],
      recordedShell([
        [
          /^bkill 1 5$/,
          { code: 255, stdout: "Job <1> is being terminated\n", stderr: "Job <5>: No matching job found\n" },
        ],
      ]),
    );
    await expect(
      lsf.cancel(["1"], recordedShell([[/bkill/, { code: 255, stderr: "Job <1>: User permission denied\n" }]])),
    ).rejects.toMatchObject({ code: "TSD-095" });
  });
});

// From Flux's manual pages: Flux does not run here.
describe("Flux", () => {
  it("submits, to the enclosing instance from inside one", async () => {
    await expect(
      flux.submit({ path: "w.sh" }, recordedShell([[/^flux batch w.sh$/, { stdout: "ƒM7Zq9AKHno\n" }]])),
    ).resolves.toBe("fM7Zq9AKHno");
    await expect(
      flux.submit(
        { path: "w.sh" },
        recordedShell([[/^flux --parent batch w.sh$/, { stdout: "f2Abc\n" }]], { env: { FLUX_ENCLOSING_ID: "f1" } }),
      ),
    ).resolves.toBe("f2Abc");
    await expect(
      flux.submit(
        { path: "w.sh" },
        recordedShell([[/flux/, { code: 1, stderr: 'flux-batch: ERROR: [Errno 22] Invalid queue "nope"\n' }]]),
      ),
    ).rejects.toThrow("flux queue");
  });
  it("tells the end from the seconds that are left; UINT_MAX is no limit", async () => {
    const left = (stdout: string) =>
      flux.inquire(
        { system: "flux", jobId: "f1" },
        recordedShell([[/^flux job timeleft$/, { stdout }]], { env: { FLUX_ENCLOSING_ID: "ƒ1" } }),
      );
    expect((await left("3600\n")).endTime).toBe(1_003_600);
    // From outside of the job, and from another job, it is named.
    const answers = [[/^flux (?:--parent )?job timeleft f1$/, { stdout: "60\n" }]] as const;
    for (const env of [{}, { FLUX_ENCLOSING_ID: "ƒ2" }, { FLUX_JOB_ID: "f3" }])
      expect((await flux.inquire({ system: "flux", jobId: "f1" }, recordedShell(answers, { env }))).endTime).toBe(
        1_000_060,
      );
    expect(await left("4294967295\n")).not.toHaveProperty("endTime");
    await expect(left("1h\n")).rejects.toMatchObject({ code: "TSD-093" });
  });
  it("reads states", async () => {
    const states = await flux.states(
      ["f1", "f2", "f3", "f4"],
      recordedShell([
        [
          /^flux jobs -a -n/,
          { code: 1, stdout: "ƒ1 RUN\nƒ2 SCHED\nƒ3 INACTIVE\n", stderr: "flux-jobs: ERROR: JobID f4 unknown\n" },
        ],
      ]),
    );
    expect([...states.values()]).toEqual(["running", "pending", "gone", "gone"]);
  });
});

// From the HTCondor manual: HTCondor does not run here.
describe("HTCondor", () => {
  it("reads a job's ClassAd", () => {
    const ad =
      'AllowedJobDuration = 3600\nClusterId = 12\nGlobalJobId = "submit1.example.org#12.3#1700000000"\nJobCurrentStartDate = 1700000100\nProcId = 3\n';
    expect(parseJobAd(ad)).toEqual({
      system: "htcondor",
      jobId: "12.3",
      submitHost: "submit1.example.org",
      startTime: 1_700_000_100,
      endTime: 1_700_003_700,
    });
    expect(parseJobAd("nonsense")).toEqual({ system: "htcondor" });
  });
  it("submits with its variables as macros; one job has its process in the id, several have not", async () => {
    const shell = recordedShell([
      // As they must stand between quotes in a description.
      [
        /^condor_submit -terse TSDASK_SCHEDULER_FILE=\/ada''s \$\(DOLLAR\)\(x\)\/s.json w.sub$/,
        { stdout: "12.0 - 12.0\n" },
      ],
    ]);
    const env = { TSDASK_SCHEDULER_FILE: "/ada's $(x)/s.json" };
    await expect(htcondor.submit({ path: "w.sub", env }, shell)).resolves.toBe("12.0");
    await expect(
      htcondor.submit({ path: "w.sub" }, recordedShell([[/condor_submit/, { stdout: "13.0 - 13.3\n" }]])),
    ).resolves.toBe("13");
  });
  it("reads states; what is not in the queue is gone", async () => {
    const states = await htcondor.states(
      ["12.0", "13", "14", "15"],
      recordedShell([[/^condor_q 12.0 13 14 15 -af/, { stdout: "12 0 2\n13 0 1\n13 1 2\n14 0 5\n" }]]),
    );
    expect([...states.values()]).toEqual(["running", "running", "held", "gone"]);
  });
  it("takes a job for running once its program is executed, since its machine may still put it on hold", async () => {
    const now = Math.floor(Date.now() / 1000);
    const told = [
      `20 0 2 ${now - 2} undefined`,
      `21 0 2 ${now - 2} ${now - 1}`,
      `22 0 2 ${now - 2} ${now - 500}`,
      `23 0 2 ${now - 500} undefined`,
      "24 0 2 undefined undefined",
    ];
    const ids = ["20.0", "21.0", "22.0", "23.0", "24.0"];
    const states = await htcondor.states(ids, recordedShell([[/^condor_q /, { stdout: `${told.join("\n")}\n` }]]));
    expect([...states.values()]).toEqual(["pending", "running", "pending", "running", "running"]);
  });
});

// From the MPI operator's v2beta1 API: Kubernetes does not run here.
describe("Kubernetes", () => {
  it("creates a job and takes its generated name", async () => {
    await expect(
      kubernetes.submit(
        { path: "j.yaml" },
        recordedShell([
          [
            /^kubectl create -f j.yaml -o jsonpath={.kind}.*{.metadata.namespace}.*{.metadata.name}/,
            { stdout: "ConfigMap|lab|settings\nMPIJob|lab|dask-x7f2q\n" },
          ],
        ]),
      ),
    ).resolves.toBe("lab.dask-x7f2q");
    const stderr =
      'error: resource mapping not found for name: "" namespace: "" from "j.yaml": no matches for kind "MPIJob" in version "kubeflow.org/v2beta1"\n';
    await expect(
      kubernetes.submit({ path: "j.yaml" }, recordedShell([[/kubectl/, { code: 1, stderr }]])),
    ).rejects.toThrow("mpi-operator");
  });
  it("reads states from the conditions", async () => {
    const states = await kubernetes.states(
      ["a", "b", "c", "d"],
      recordedShell([
        [/^kubectl get mpijob/, { stdout: "a|Created,Running,\nb|Created,\nc|Created,Running,Succeeded,\n" }],
      ]),
    );
    expect([...states.values()]).toEqual(["running", "pending", "gone", "gone"]);
  });
  it("labels, asks for and deletes a job in its own namespace, beside those of another and of none", async () => {
    const shell = recordedShell([
      [/^kubectl create /, { stdout: "MPIJob|lab|a\n" }],
      [/^kubectl label mpijob -n lab a tsdask=m$/, {}],
      [/^kubectl get mpijob -n lab .*labels/, { stdout: "a|m\nb|\n" }],
      [/^kubectl get mpijob -n lab /, { stdout: "a|Created,Running,\nb|Created,\n" }],
      [/^kubectl get mpijob -n team /, { stdout: "a|Created,\n" }],
      [/^kubectl get mpijob -o /, { stdout: "c|Created,Suspended,\n" }],
      [/^kubectl delete mpijob -n lab --ignore-not-found --wait=false a$/, {}],
      [/^kubectl delete mpijob -n team --ignore-not-found --wait=false a$/, { code: 1, stderr: "forbidden" }],
      [/^kubectl delete mpijob --ignore-not-found --wait=false c$/, {}],
    ]);
    expect(await kubernetes.submit({ path: "j.yaml", mark: "m" }, shell)).toBe("lab.a");
    expect([...(await kubernetes.marks(["lab.a"], shell))]).toEqual([["lab.a", "m"]]);
    const states = await kubernetes.states(["lab.a", "team.a", "c", "lab.d"], shell);
    expect([...states]).toEqual([
      ["lab.a", "running"],
      ["team.a", "pending"],
      ["c", "held"],
      ["lab.d", "gone"],
    ]);
    const cancelled = kubernetes.cancel(["team.a", "lab.a", "c"], shell);
    await expect(cancelled).rejects.toThrow(/TSD-095[\s\S]*kubectl delete mpijob -n team a/);
    expect(shell.asked.filter(({ line }) => line.startsWith("kubectl delete"))).toHaveLength(3);
  });
});
