import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { localWorkerScript, renderScript, scriptSystems } from "../../src/batch/script/render.ts";
import { clock, quoted, type JobSpec } from "../../src/batch/script/job-spec.ts";
import { covers } from "./covers.ts";

const spec: JobSpec = {
  name: "climate",
  nodes: 2,
  ranksPerNode: 4,
  threads: 2,
  memory: 16 * 1024 ** 3,
  time: 5400,
  queue: "short",
  account: "abc",
  gpus: 4,
  modules: ["python", "openmpi"],
  environment: "/opt/venv/",
  setup: ["ulimit -n 65536"],
  variables: { TITLE: "it's" },
  directives: [],
  command: "tsdask-mpi",
  words: ["analysis.py", "--title", "a b"],
};
const lines = (system: (typeof scriptSystems)[number], change: Partial<JobSpec> = {}): readonly string[] =>
  renderScript(system, { ...spec, ...change }).text.split("\n");

describe("a script", () => {
  it("for Slurm asks as sbatch(1) says", () => {
    expect(lines("slurm").slice(0, 12)).toEqual([
      "#!/bin/bash",
      "#SBATCH --job-name=climate",
      "#SBATCH --nodes=2",
      "#SBATCH --ntasks-per-node=4",
      "#SBATCH --cpus-per-task=2",
      "#SBATCH --mem=16384M",
      "#SBATCH --gres=gpu:4",
      "#SBATCH --time=01:30:00",
      "#SBATCH --partition=short",
      "#SBATCH --account=abc",
      "#SBATCH --output=%x-%j.out",
      "",
    ]);
    expect(lines("slurm").at(-2)).toBe("srun tsdask-mpi analysis.py --title 'a b'");
    expect(lines("slurm", { launcher: "mpirun" }).at(-2)).toBe(
      "mpirun -np \"$SLURM_NTASKS\" tsdask-mpi analysis.py --title 'a b'",
    );
    expect(lines("slurm", { array: 10 })).toContain("#SBATCH --array=1-10");
  });
  it("for PBS asks as qsub(1B) says", () => {
    expect(lines("pbs").slice(0, 8)).toEqual([
      "#!/bin/bash",
      "#PBS -N climate",
      "#PBS -l select=2:ncpus=8:mpiprocs=4:ompthreads=2:mem=16384mb:ngpus=4",
      "#PBS -l place=scatter",
      "#PBS -l walltime=01:30:00",
      "#PBS -q short",
      "#PBS -A abc",
      "#PBS -j oe",
    ]);
    expect(lines("pbs").at(-2)).toContain(
      '-np "$(wc -l < "$PBS_NODEFILE")" -machinefile "$PBS_NODEFILE" tsdask-mpi analysis.py',
    );
    expect(lines("pbs", { array: 2 })).toContain("#PBS -J 1-2");
    expect(lines("pbs", { array: 1 }).join("\n")).not.toContain("-J");
  });
  it("for Grid Engine asks as qsub(1) says, and tells what a site must know", () => {
    expect(lines("sge", { pe: "orte" })).toEqual(
      expect.arrayContaining([
        "#$ -pe orte 16",
        "#$ -l h_vmem=2048M",
        "#$ -l h_rt=01:30:00",
        "#$ -q short",
        "#$ -P abc",
        "#$ -cwd",
      ]),
    );
    expect(renderScript("sge", spec).notes.join(" ")).toContain("qconf -spl");
  });
  it("for LSF asks as bsub(1) says", () => {
    expect(lines("lsf")).toEqual(
      expect.arrayContaining([
        "#BSUB -n 8",
        '#BSUB -R "span[ptile=4]"',
        '#BSUB -R "affinity[core(2)]"',
        '#BSUB -R "rusage[mem=16384MB]"',
        '#BSUB -gpu "num=4"',
        "#BSUB -W 01:30",
        "#BSUB -q short",
        "#BSUB -P abc",
      ]),
    );
    expect(lines("lsf", { array: 3 })).toContain('#BSUB -J "climate[1-3]"');
    expect(lines("lsf", { launcher: "jsrun" }).at(-2)).toMatch(/^jsrun -n 8 -a 1 -c 2 -g 1 tsdask-mpi /);
    covers("lsf", ["script", "array"]);
  });
  it("for Flux asks as flux-batch(1) says", () => {
    expect(lines("flux")).toEqual(
      expect.arrayContaining([
        "# flux: --nodes=2 --nslots=8 --cores-per-slot=2 --gpus-per-slot=1",
        "# flux: --time-limit=5400s",
        "# flux: --queue=short",
        "# flux: --bank=abc",
      ]),
    );
    expect(lines("flux").at(-2)).toBe("flux run -N 2 -n 8 -c 2 -g 1 tsdask-mpi analysis.py --title 'a b'");
    expect(renderScript("flux", spec).notes.join(" ")).toContain("memory");
    covers("flux", ["script"]);
  });
  it("for HTCondor is a job for each machine, of which the first has the scheduler", () => {
    const text = lines("htcondor", { queue: undefined as never });
    expect(text).toEqual(
      expect.arrayContaining([
        "request_cpus = 8",
        "request_memory = 16384MB",
        "request_gpus = 4",
        "allowed_execute_duration = 5400",
        "accounting_group = abc",
        "queue 1",
      ]),
    );
    const [first = "", second = ""] = text.filter((line) => line.startsWith("arguments"));
    expect(first).toContain("\\nexec tsdask-mpi --np 4 analysis.py --title \\''a b\\''");
    expect(second).toContain("\\nexec tsdask-mpi --np 4 --no-scheduler''");
    expect(first).toMatch(/^arguments = "-lc '.*'"$/);
    // The first machine's ranks are all that scheduler and script have; HTCondor's own default of memory is too little
    // for a worker.
    const small = { queue: undefined as never, memory: undefined as never, ranksPerNode: 2 };
    const [lead = "", joins = ""] = lines("htcondor", small).filter((line) => line.startsWith("arguments"));
    expect(lead).toContain("exec tsdask-mpi --np 2 --inclusive-workers analysis.py");
    expect(joins).toContain("exec tsdask-mpi --np 2 --no-scheduler''");
    expect(lines("htcondor", small)).toContain("request_memory = 2048MB");
    const joining = { queue: undefined as never, array: 5, join: { schedulerFile: "s.json" } };
    expect(lines("htcondor", joining)).toContain("queue 10");
    covers("htcondor", ["script", "array"]);
  });
  it("for Kubernetes is an MPIJob with the fields of kubeflow.org/v2beta1", () => {
    const job = parse(
      renderScript("kubernetes", {
        ...spec,
        image: "registry.example.org/team/dask:1",
        volume: { claim: "data", path: "/data" },
      }).text,
    ) as Record<string, never>;
    expect(job).toMatchObject({
      apiVersion: "kubeflow.org/v2beta1",
      kind: "MPIJob",
      metadata: { generateName: "climate-", namespace: "short" },
      spec: {
        slotsPerWorker: 4,
        mpiImplementation: "MPICH",
        runPolicy: { cleanPodPolicy: "Running", activeDeadlineSeconds: 5400 },
        mpiReplicaSpecs: {
          Launcher: {
            replicas: 1,
            template: {
              spec: {
                containers: [
                  {
                    image: "registry.example.org/team/dask:1",
                    args: [
                      "/bin/bash",
                      "-c",
                      expect.stringContaining("exec mpirun -np 8 tsdask-mpi --walltime 5400 analysis.py"),
                    ],
                    volumeMounts: [{ name: "shared", mountPath: "/data" }],
                    // As the submitter's id; what it is made from stands before it.
                    env: [
                      { name: "MPIJOB_NAMESPACE" },
                      { name: "MPIJOB_NAME" },
                      { name: "TSDASK_MPIJOB", value: "$(MPIJOB_NAMESPACE).$(MPIJOB_NAME)" },
                    ],
                  },
                ],
                volumes: [{ persistentVolumeClaim: { claimName: "data" } }],
              },
            },
          },
          Worker: {
            replicas: 2,
            template: {
              spec: { containers: [{ resources: { limits: { cpu: 8, memory: "16384Mi", "nvidia.com/gpu": 4 } } }] },
            },
          },
        },
      },
    });
    covers("kubernetes", ["script"]);
  });
  it.each(["slurm", "pbs", "sge", "lsf", "flux"] as const)(
    "for %s makes the environment before the launch",
    (system) => {
      const text = lines(system);
      const at = (line: string): number => text.indexOf(line);
      const modules = at("module load python openmpi || exit 1");
      const python = at("source /opt/venv/bin/activate || exit 1");
      expect(at("command -v module >/dev/null || . /etc/profile")).toBe(modules - 1);
      expect(modules).toBeGreaterThan(1);
      expect(python).toBeGreaterThan(modules);
      expect(at("export TITLE='it'\\''s'")).toBeGreaterThan(python);
      expect(at("ulimit -n 65536")).toBe(text.length - 5);
      expect(text.at(-4)).toMatch(/^ulimit -c 0 /);
    },
  );
  it.each(scriptSystems)("for %s that joins names the cluster's file, which scale and adapt replace", (system) => {
    const { text } = renderScript(system, { ...spec, words: [], join: { schedulerFile: "/a b/$x.json" } });
    expect(text).toContain("--no-scheduler");
    if (!["htcondor", "kubernetes"].includes(system))
      expect(text).toContain('--scheduler-file "${TSDASK_SCHEDULER_FILE:-/a b/\\$x.json}"');
    covers(system, ["join"]);
  });
  it.each(scriptSystems)("for %s starts JupyterLab with the cluster behind it", (system) => {
    const { text } = renderScript(system, { ...spec, words: ["--jupyter", "lab"] });
    expect(text).toMatch(/tsdask-mpi .*--jupyter lab\b/);
    covers(system, ["notebook"]);
  });
});

/** The text that HTCondor gives bash for a line of `arguments`. */
const condorScript = (line: string): string =>
  line
    .slice("arguments = \"-lc '".length, -2)
    .replaceAll('""', '"')
    .replaceAll("$$(DOLLARDOLLAR)", "$$$$")
    .replaceAll("$(DOLLAR)", "$$")
    .replaceAll("''", "'");

describe("text that means more than itself", () => {
  const words = (word: string): Partial<JobSpec> => ({ words: ["analysis.py", word] });
  it.each(scriptSystems)("for %s is refused where it holds a newline or another control character", (system) => {
    for (const bad of [
      "x\nrequirements = false",
      "x\r",
      "a\tb",
      "\u001b[2J",
      "\u0085hostPID: true",
      "\u2028",
      "\u0000",
    ]) {
      const changes: readonly Partial<JobSpec>[] = [
        words(bad),
        { variables: { A: bad } },
        { setup: [bad] },
        { directives: [bad] },
        { name: bad },
        { modules: [bad] },
        { queue: bad },
        { account: bad },
        { image: bad },
        { output: bad },
        { launcher: bad },
        { environment: bad },
        { command: bad },
        { pe: bad },
        { volume: { claim: "c", path: bad } },
        { join: { schedulerFile: bad } },
      ];
      for (const change of changes)
        expect(() => lines(system, change), JSON.stringify(change)).toThrow(
          expect.objectContaining({ code: "TSD-131", exitCode: 64 }),
        );
    }
  });
  it("for Kubernetes stays text, whatever YAML could take it for", () => {
    const hostile = [
      "hostPID: true",
      "- a",
      "*x",
      "&y",
      "!!python/object",
      "yes",
      "~",
      "#",
      "a: {b: c}",
      "'",
      '"',
      "|",
      ">",
      "%",
      "@",
      "`",
      "$(HOME)",
      "$$",
      "$$(X)",
    ];
    const rendered = renderScript("kubernetes", {
      ...spec,
      image: "yes",
      words: hostile,
      volume: { claim: "on", path: "/a b: {c}" },
      directives: [],
    }).text;
    const job = parse(rendered, { schema: "yaml-1.1" }) as {
      spec: {
        mpiReplicaSpecs: {
          Launcher: {
            template: {
              spec: { containers: { image: string; args: string[]; volumeMounts: { mountPath: string }[] }[] };
            };
          };
        };
      };
    };
    const [container] = job.spec.mpiReplicaSpecs.Launcher.template.spec.containers;
    expect(Object.keys(job.spec.mpiReplicaSpecs.Launcher.template.spec)).toEqual([
      "restartPolicy",
      "containers",
      "volumes",
    ]);
    expect(container).toMatchObject({ image: "yes", volumeMounts: [{ mountPath: "/a b: {c}" }] });
    // What the kubelet makes of `$$` and `$(NAME)` in arguments.
    const expanded = container?.args[2]?.replace(/\$\$|\$\((\w+)\)/g, (_found, name: string | undefined) =>
      name === undefined ? "$" : `<${name}>`,
    );
    expect(expanded?.trimEnd().split("\n").at(-1)).toBe(
      `exec mpirun -np 8 tsdask-mpi --walltime 5400 ${hostile.map(quoted).join(" ")}`,
    );
  });
  it("for Kubernetes is a field of the run policy where it is a directive, and refused where it is none", () => {
    const job = parse(
      renderScript("kubernetes", { ...spec, directives: ["ttlSecondsAfterFinished: 60", "suspend: true"] }).text,
    ) as { spec: { runPolicy: object } };
    expect(job.spec.runPolicy).toMatchObject({ ttlSecondsAfterFinished: 60, suspend: true });
    for (const bad of ["no mapping", "a: [", "- a"])
      expect(() => lines("kubernetes", { directives: [bad] })).toThrow(/TSD-131/);
  });
  it("for HTCondor starts no macro and ends no quotation", () => {
    const hostile = ["$(Foo)", "$ENV(HOME)", "$$(Memory)", "$RANDOM_CHOICE(1,2)", "it's", 'say "a"', "$x"];
    const argument =
      lines("htcondor", {
        queue: undefined as never,
        ...words("x"),
        environment: undefined as never,
        modules: [],
        setup: [],
        variables: {},
        words: hostile,
      }).find((line) => line.startsWith("arguments = ")) ?? "";
    expect(argument.replaceAll("$(DOLLAR)", "").replaceAll("$$(DOLLARDOLLAR)", "")).not.toContain("$");
    expect(condorScript(argument)).toBe(`exec tsdask-mpi --np 4 ${hostile.map(quoted).join(" ")}`);
    expect(() => lines("htcondor", { join: { schedulerFile: "/x\\" } })).toThrow(/TSD-131/);
  });
  it("for HTCondor ends with its line of --setup, and hides no launch", () => {
    const loop = ["for word in a b; do", "A=$A$word", "done"];
    const setup = ["A='1 # 2'; # a comment", "B='it'\\''s';", "sleep 0 &", ...loop];
    const change = { queue: undefined as never, environment: undefined as never, modules: [], setup };
    const argument = lines("htcondor", { ...change, ...words("a\\b # y") }).find((line) =>
      line.startsWith("arguments"),
    );
    // The launch shows what came before it, and its own words.
    const text = condorScript(argument ?? "").replace("exec tsdask-mpi", 'exec printf "%s|" "$A" "$B"');
    expect(execFileSync("bash", ["-c", text], { encoding: "utf8" })).toBe("1 # 2ab|it's|--np|4|analysis.py|a\\b # y|");
  });
});

it("a conda environment is activated by its name", () => {
  expect(lines("slurm", { environment: "dask" })).toContain(
    'eval "$(conda shell.bash hook)" && conda activate dask || exit 1',
  );
  expect(renderScript("htcondor", { ...spec, environment: "dask" }).text).toContain("$(DOLLAR)(conda shell.bash hook)");
});

it("words are quoted for the shell, and times are a clock's", () => {
  expect(["a", "a b", "it's", "$HOME", ""].map(quoted)).toEqual(["a", "'a b'", "'it'\\''s'", "'$HOME'", "''"]);
  expect([59.2, 3600, 360_000].map(clock)).toEqual(["00:01:00", "01:00:00", "100:00:00"]);
  expect(localWorkerScript({ command: "/o p/tsdask-mpi", ranks: 2, words: ["--quiet"], schedulerFile: "s.json" })).toBe(
    "#!/bin/bash\nexec '/o p/tsdask-mpi' --np 2 --no-scheduler --scheduler-file s.json --quiet\n",
  );
});
