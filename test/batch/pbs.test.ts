import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseQstat, pbs } from "../../src/batch/pbs.ts";
import { recordedShell } from "./recorded.ts";

// From the documentation and public reports of OpenPBS and TORQUE: PBS does not run here.
const openpbs = `Job Id: 1234.pbs01
    Job_Name = dask
    Job_Owner = ada@login1
    resources_used.walltime = 00:00:10
    job_state = R
    queue = workq
    exec_host = node1/0*8+node2/0*8
    Resource_List.select = 2:ncpus=8:mpiprocs=4
    Resource_List.walltime = 01:30:00
    stime = Thu Feb 22 14:27:48 2018
    run_count = 2
    Submit_Host = login1.example.org
    Variable_List = PBS_O_HOME=/home/ada,PBS_O_LANG=C,BASH_FUNC_module%%=() {  ev
\tal \`x\`
},PBS_O_HOST=login1

Job Id: 1235.pbs01
    job_state = Q
    Resource_List.walltime = 00:10:00

`;
const torque =
  "Job Id: 548.moab\n    Job_Name = STDIN\n    job_state = R\n    exec_host = n003/0-1\n    Resource_List.walltime = 01:00:00\n    start_time = Thu Feb 22 14:27:48 2018\n    Walltime.Remaining = 3593\n    start_count = 1\n    submit_host = moab\n\n";

describe("PBS", () => {
  it("reads qstat -f, long lines and shell functions in the environment included", () => {
    const [first, second] = parseQstat(openpbs);
    expect(first?.id).toBe("1234.pbs01");
    expect(first?.fields.get("job_state")).toBe("R");
    expect(first?.fields.get("Submit_Host")).toBe("login1.example.org");
    expect(second?.fields.get("Resource_List.walltime")).toBe("00:10:00");
  });
  it("tells the end, the hosts and the restarts of a job", async () => {
    const started = new Date(2018, 1, 22, 14, 27, 48).getTime() / 1000;
    const job = await pbs.inquire(
      { system: "pbs", jobId: "1234.pbs01" },
      recordedShell([[/^qstat -f 1234.pbs01$/, { stdout: openpbs }]]),
    );
    expect(job).toMatchObject({
      startTime: started,
      endTime: started + 5400,
      hosts: ["node1", "node2"],
      requeues: 1,
      submitHost: "login1.example.org",
    });
    const old = await pbs.inquire({ system: "pbs", jobId: "548.moab" }, recordedShell([[/qstat/, { stdout: torque }]]));
    expect(old).toMatchObject({ startTime: started, endTime: started + 3600, hosts: ["n003"], requeues: 0 });
  });
  it.each([
    ["#PBS -v A=1\n#PBS -N name -v B=2,C\n", "B=2,C,"],
    [`#PBS -v "A='x, y',B"\n`, "A='x, y',B,"],
    ["#PBS -V\n", ""],
    ["cd /\n#PBS -v A=1\n", ""],
  ])("keeps the variables that its script asks for: %s", async (text, own) => {
    const folder = mkdtempSync(join(tmpdir(), "tsdask-pbs-"));
    const path = join(folder, "w.sh");
    writeFileSync(path, `#!/bin/bash\n${text}`);
    const shell = recordedShell([[/^qsub/, { stdout: "1236.pbs01\n" }]]);
    await pbs.submit({ path, env: { TSDASK_SCHEDULER_FILE: "s.json" }, mark: "m" }, shell);
    await pbs.submit({ path }, shell);
    expect(shell.asked.map(({ line }) => line)).toEqual([
      `qsub -v ${own}TSDASK_SCHEDULER_FILE,TSDASK_WORKER_JOB ${path}`,
      `qsub ${path}`,
    ]);
    rmSync(folder, { recursive: true });
  });
  it("submits with the names of the job's variables, so that no value needs quotes", async () => {
    const shell = recordedShell([[/^qsub -v TSDASK_SCHEDULER_FILE \/a\/w.sh$/, { stdout: "1236.pbs01\n" }]]);
    await expect(pbs.submit({ path: "/a/w.sh", env: { TSDASK_SCHEDULER_FILE: "/a b/s.json" } }, shell)).resolves.toBe(
      "1236.pbs01",
    );
    expect(shell.asked[0]?.env).toEqual({ TSDASK_SCHEDULER_FILE: "/a b/s.json" });
    await expect(pbs.submit({ path: "w.sh" }, recordedShell([[/qsub/, { stdout: "1237[].pbs01\n" }]]))).resolves.toBe(
      "1237[].pbs01",
    );
  });
  it.each([
    ["qsub: Unknown queue\n", "qstat -Q"],
    ["qsub: Queue is not enabled\n", "(Ena)"],
    ["qsub: illegal -W value\nusage: qsub [-a date_time] [-A account_string]\n", "-W depend"],
    ["qsub: Error (15002) submitting job\n", "-W depend"],
    ["qsub: Job exceeds queue and/or server resource limits\n", "qstat -Qf"],
    ["qsub: Unknown resource: gpus\n", "select"],
    ["qsub: Unauthorized Request\n", "login node"],
    ["Connection refused\nqsub: cannot connect to server pbs01 (errno=111)\n", "qstat -B"],
  ])("tells PBS's own words and what to do: %s", async (stderr, cure) => {
    await expect(pbs.submit({ path: "w.sh" }, recordedShell([[/qsub/, { code: 170, stderr }]]))).rejects.toThrow(cure);
  });
  it("reads states; unknown and finished jobs are gone", async () => {
    const stderr =
      "qstat: Unknown Job Id 99.pbs01\nqstat: 98.pbs01 Job has finished, use -x or -H to obtain historical job information\n";
    const states = await pbs.states(
      ["1234.pbs01", "1235.pbs01", "98.pbs01", "99.pbs01"],
      recordedShell([[/^qstat -f 1234/, { code: 153, stdout: openpbs, stderr }]]),
    );
    expect([...states.values()]).toEqual(["running", "pending", "gone", "gone"]);
    await expect(
      pbs.states(
        ["1"],
        recordedShell([[/qstat/, { code: 1, stderr: "qstat: cannot connect to server pbs01 (errno=111)\n" }]]),
      ),
    ).rejects.toMatchObject({ code: "TSD-094" });
  });
  it("cancels, and does not mind those that are gone", async () => {
    await pbs.cancel(
      ["1.pbs01", "2.pbs01"],
      recordedShell([[/^qdel 1.pbs01 2.pbs01$/, { code: 153, stderr: "qdel: Unknown Job Id 2.pbs01\n" }]]),
    );
    await expect(
      pbs.cancel(["1.pbs01"], recordedShell([[/qdel/, { code: 1, stderr: "qdel: Unauthorized Request  1.pbs01\n" }]])),
    ).rejects.toMatchObject({ code: "TSD-095" });
  });
});
