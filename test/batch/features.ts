/** What is known of a feature under a batch system, and which test knows it: `file › title`, as far as the title has no % in it. */
export type Evidence =
  | { readonly kind: "run"; readonly test: string }
  | { readonly kind: "recorded"; readonly test: string }
  | { readonly kind: "documentation" }
  | { readonly kind: "cannot"; readonly why: string };

const run = (test: string): Evidence => ({ kind: "run", test });
const recorded = (test: string): Evidence => ({ kind: "recorded", test });
const documentation: Evidence = { kind: "documentation" };
const cannot = (why: string): Evidence => ({ kind: "cannot", why });

/** The columns, in the order of the table. */
export const features = [
  "script",
  "array",
  "notebook",
  "join",
  "scale",
  "adapt",
  "drain",
  "limits",
  "accounting",
  "reasons",
] as const;

export interface SystemEvidence {
  readonly name: string;
  readonly page: string;
  /** The version that the tests run, where one is installed for them. */
  readonly version?: string;
  readonly features: Readonly<Record<(typeof features)[number], Evidence>>;
}

const [scripts, growth, sge, pbs] = ["scripts", "growth", "sge", "pbs"].map(
  (name) => `test/integration/batch-${name}.test.ts`,
);
const session = "test/integration/faults/session.test.ts › the job's session has what the workers used";
const granted = "test/batch/granted.test.ts";
const pending = "test/batch/pending.test.ts";
const rendered = "test/batch/script.test.ts";

/** Every batch system and feature: where it is seen. A test looks whether these tests are there, another whether docs/batch/README.md says the same. */
export const systems: readonly SystemEvidence[] = [
  {
    name: "Slurm",
    page: "slurm.md",
    version: "22.05.8",
    features: {
      script: run(`${scripts} › a script from options is submitted as it is`),
      array: run(`${growth} › before a job's time is over its workers leave`),
      notebook: run(`${scripts} › jupyter.sh serves JupyterLab until it is cancelled`),
      join: run(`${growth} › scale submits and retires jobs of a script`),
      scale: run(`${growth} › scale submits and retires jobs of a script`),
      adapt: run(`${growth} › adapt follows the work up and down, and leaves nothing in the queue`),
      drain: run(`${growth} › before a job's time is over its workers leave`),
      limits: recorded(`${granted} › reads what Slurm granted each host`),
      accounting: run(`${scripts} › what the workers use stands in the accounting of Slurm`),
      reasons: run(`${scripts} › --wait says when the job runs, why it does not`),
    },
  },
  {
    name: "PBS, TORQUE",
    page: "pbs.md",
    features: {
      script: recorded(`${pbs} › batch.sh starts a rank for each line of the host file`),
      array: documentation,
      notebook: documentation,
      join: recorded(`${pbs} › workers.sh joins a cluster of another host`),
      scale: recorded(`${pbs} › the jobs of scale are deleted with qdel`),
      adapt: documentation,
      drain: recorded(`${pbs} › workers.sh joins a cluster of another host`),
      limits: recorded(`${granted} › reads what PBS granted each host`),
      accounting: recorded(session),
      reasons: recorded(`${pending} › is the comment of PBS's scheduler`),
    },
  },
  {
    name: "Grid Engine",
    page: "sge.md",
    version: "8.1.9",
    features: {
      script: run(`${sge} › the generated script with`),
      array: documentation,
      notebook: documentation,
      join: run(`${sge} › scale grows and shrinks a cluster by jobs`),
      scale: run(`${sge} › scale grows and shrinks a cluster by jobs`),
      adapt: documentation,
      drain: recorded("test/batch/others.test.ts › tells the end from h_rt and the start"),
      limits: recorded(`${granted} › reads the slots that Grid Engine and LSF granted each host`),
      accounting: run(`${sge} › the generated script with`),
      reasons: recorded(`${pending} › is what Grid Engine's verification of an empty cluster says`),
    },
  },
  {
    name: "LSF",
    page: "lsf.md",
    features: {
      script: recorded(`${rendered} › for LSF asks as bsub(1) says`),
      array: documentation,
      notebook: documentation,
      join: documentation,
      scale: recorded("test/batch/others.test.ts › submits through standard input"),
      adapt: documentation,
      drain: documentation,
      limits: recorded(`${granted} › reads the slots that Grid Engine and LSF granted each host`),
      accounting: documentation,
      reasons: recorded(`${pending} › is what bjobs -p of LSF and condor_q -better-analyze say`),
    },
  },
  {
    name: "Flux",
    page: "flux.md",
    features: {
      script: recorded(`${rendered} › for Flux asks as flux-batch(1) says`),
      array: documentation,
      notebook: documentation,
      join: documentation,
      scale: recorded("test/batch/others.test.ts › submits, to the enclosing instance from inside one"),
      adapt: documentation,
      drain: recorded("test/batch/others.test.ts › tells the end from the seconds that are left"),
      limits: documentation,
      accounting: documentation,
      reasons: cannot("not asked for"),
    },
  },
  {
    name: "HTCondor",
    page: "htcondor.md",
    features: {
      script: recorded(`${rendered} › for HTCondor is a job for each machine`),
      array: documentation,
      notebook: documentation,
      join: documentation,
      scale: recorded("test/batch/others.test.ts › submits with its variables as macros"),
      adapt: documentation,
      drain: documentation,
      limits: documentation,
      accounting: documentation,
      reasons: recorded(`${pending} › is what bjobs -p of LSF and condor_q -better-analyze say`),
    },
  },
  {
    name: "Kubernetes",
    page: "kubernetes.md",
    features: {
      script: recorded(`${rendered} › for Kubernetes is an MPIJob with the fields of kubeflow.org/v2beta1`),
      array: documentation,
      notebook: documentation,
      join: documentation,
      scale: recorded("test/batch/others.test.ts › creates a job and takes its generated name"),
      adapt: documentation,
      drain: cannot("a pod has no end that it is told"),
      limits: documentation,
      accounting: documentation,
      reasons: cannot("not asked for"),
    },
  },
];

/** The table of docs/batch/README.md. */
export function table(): string {
  const cell = (evidence: Evidence, version: string | undefined): string => {
    if (evidence.kind === "run") return `run on ${version}`;
    if (evidence.kind === "documentation") return "by documentation";
    return evidence.kind === "cannot" ? `cannot: ${evidence.why}` : "recorded";
  };
  const rows = systems.map(({ name, page, version, features: seen }) => [
    `[${name}](${page})`,
    ...features.map((feature) => cell(seen[feature], version)),
  ]);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(["", ...features]), line(["", ...features].map(() => "---")), ...rows.map(line)].join("\n");
}
