import { lines, noAnswer, notCancelled, notUnderstood, refused, statesOf, type Hint } from "./answers.ts";
import { jobOf } from "./describe.ts";
import type { BatchSystem, Job, JobState, Shell, Submission } from "./system.ts";

/** Kubernetes with Kubeflow's MPI operator: the MPIJob resource, kubeflow.org/v2beta1. */
export const kubernetes: BatchSystem = {
  name: "kubernetes",
  submitCommand: "kubectl",
  describe,
  inquire,
  submit,
  marks,
  cancel,
  states,
};

/** The operator names a job's pods `<job>-launcher…` and `<job>-worker-<n>`. */
function describe(env: NodeJS.ProcessEnv): Job | undefined {
  if (!env["KUBERNETES_SERVICE_HOST"]) return undefined;
  const pod = /^(.+)-(?:worker-\d+|launcher(?:-[a-z0-9]+)?)$/.exec(env["HOSTNAME"] ?? "");
  const hostFile = env["OMPI_MCA_orte_default_hostfile"] || env["HYDRA_HOST_FILE"] || env["I_MPI_HYDRA_HOST_FILE"];
  return jobOf({ system: "kubernetes", jobId: env["TSDASK_MPIJOB"] || pod?.[1], hostFile });
}

/**
 * A pod is not allowed to ask the API server by default; `activeDeadlineSeconds` is given to it as `--walltime`
 * instead.
 */
async function inquire(job: Job): Promise<Job> {
  return job;
}

/** The mark is a label, put on the job that has just been made; one that cannot be labelled is deleted again. */
async function submit({ path, args = [], cwd, mark }: Submission, shell: Shell): Promise<string> {
  const ran = await shell.run(
    "kubectl",
    ["create", ...args, "-f", path, "-o", "name"],
    cwd === undefined ? {} : { cwd },
  );
  if (ran.code !== 0) throw refused("kubernetes", "kubectl create", ran, hints);
  const id = lines(ran.stdout)
    .map((line) => /^mpijob\.kubeflow\.org\/(\S+)$/.exec(line)?.[1])
    .find((name) => name !== undefined);
  if (id === undefined) throw notUnderstood("kubernetes", "kubectl create", ran.stdout);
  if (mark !== undefined) {
    const labelled = await shell.run("kubectl", ["label", "mpijob", id, `tsdask=${mark}`]);
    if (labelled.code !== 0) {
      await cancel([id], shell);
      throw refused("kubernetes", "kubectl label", labelled, hints);
    }
  }
  return id;
}

async function marks(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const path = "{range .items[*]}{.metadata.name}{'|'}{.metadata.labels.tsdask}{'\\n'}{end}";
  const ran = await shell.run("kubectl", ["get", "mpijob", "-o", `jsonpath=${path}`]);
  if (ran.code !== 0) throw noAnswer("kubernetes", "kubectl get mpijob", ran);
  const found = lines(ran.stdout).map((line) => line.split("|"));
  return new Map(found.flatMap(([name = "", label = ""]) => (ids.includes(name) ? [[name, label]] : [])));
}

async function cancel(ids: readonly string[], shell: Shell): Promise<void> {
  if (ids.length === 0) return;
  const ran = await shell.run("kubectl", ["delete", "mpijob", "--ignore-not-found", "--wait=false", ...ids]);
  if (ran.code !== 0) throw notCancelled("kubernetes", "kubectl delete mpijob", ids, ran);
}

/** The last condition that is true tells: Created, Suspended, Running, Restarting, Succeeded, Failed, Evicted. */
async function states(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, JobState>> {
  if (ids.length === 0) return new Map();
  const path =
    "{range .items[*]}{.metadata.name}{'|'}{range .status.conditions[?(@.status=='True')]}{.type}{','}{end}{'\\n'}{end}";
  const ran = await shell.run("kubectl", ["get", "mpijob", "-o", `jsonpath=${path}`]);
  if (ran.code !== 0) throw noAnswer("kubernetes", "kubectl get mpijob", ran);
  return statesOf(
    ids,
    lines(ran.stdout).map((line) => {
      const [name, conditions] = line.split("|");
      if (name === undefined || conditions === undefined) throw notUnderstood("kubernetes", "kubectl get mpijob", line);
      return [name, stateOf(conditions.split(","))];
    }),
  );
}

function stateOf(conditions: readonly string[]): JobState {
  if (conditions.some((word) => /^(Succeeded|Failed|Evicted)$/.test(word))) return "gone";
  if (conditions.includes("Suspended")) return "held";
  return conditions.includes("Running") ? "running" : "pending";
}

const hints: readonly Hint[] = [
  [
    /no matches for kind|could not find the requested resource|doesn't have a resource type/i,
    "The cluster has no MPI operator; ask its administrators for Kubeflow's mpi-operator (v2beta1).",
  ],
  [
    /forbidden/i,
    "Your account may not create MPIJobs in this namespace; `kubectl auth can-i create mpijobs` checks it, --queue names another namespace.",
  ],
  [/quota|exceeded/i, "`kubectl describe quota` shows what the namespace may use; ask for less."],
  [
    /refused|no such host|unable to connect/i,
    "No cluster answers; `kubectl config current-context` shows which one is meant.",
  ],
];
