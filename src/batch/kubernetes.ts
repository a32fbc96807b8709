import type { Failure } from "../errors/failure.ts";
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

/**
 * An id is `<namespace>.<name>`, as neither has a dot: kubectl looks in one namespace, and by itself in that of its
 * context. An id without a namespace is a job's there.
 */
function placeOf(id: string): { readonly where: readonly string[]; readonly name: string } {
  const [, namespace, name = id] = /^([^.]+)\.(.+)$/.exec(id) ?? [];
  return { where: namespace === undefined ? [] : ["-n", namespace], name };
}

/** The jobs of each namespace: kubectl's words for it, the ids, and the names. */
function byNamespace(ids: readonly string[]): readonly {
  readonly where: readonly string[];
  readonly names: readonly string[];
  readonly idOf: (name: string) => string;
}[] {
  const groups = Map.groupBy(ids, (id) => placeOf(id).where.join(" "));
  return [...groups.values()].map((own) => {
    const { where } = placeOf(own[0] ?? "");
    const idOf = (name: string): string => [...where.slice(1), name].join(".");
    return { where, names: own.map((id) => placeOf(id).name), idOf };
  });
}

/** The mark is a label, put on the job that has just been made; one that cannot be labelled is deleted again. */
async function submit({ path, args = [], cwd, mark }: Submission, shell: Shell): Promise<string> {
  const made = "{.kind}{'|'}{.metadata.namespace}{'|'}{.metadata.name}{'\\n'}";
  const words = ["create", ...args, "-f", path, "-o", `jsonpath=${made}`];
  const ran = await shell.run("kubectl", words, cwd === undefined ? {} : { cwd });
  if (ran.code !== 0) throw refused("kubernetes", "kubectl create", ran, hints);
  const id = lines(ran.stdout)
    .map((line) => /^MPIJob\|([a-z0-9-]+)\|([a-z0-9-]+)$/.exec(line))
    .flatMap((match) => (match === null ? [] : [`${match[1]}.${match[2]}`]))[0];
  if (id === undefined) throw notUnderstood("kubernetes", "kubectl create", ran.stdout);
  if (mark !== undefined) {
    const { where, name } = placeOf(id);
    const labelled = await shell.run("kubectl", ["label", "mpijob", ...where, name, `tsdask=${mark}`]);
    if (labelled.code !== 0) {
      await cancel([id], shell);
      throw refused("kubernetes", "kubectl label", labelled, hints);
    }
  }
  return id;
}

/** What is asked of each MPIJob of the namespaces of these jobs: its id, and what the path prints. */
async function ask(
  ids: readonly string[],
  path: string,
  shell: Shell,
): Promise<readonly (readonly [string, string])[]> {
  const found: (readonly [string, string])[] = [];
  for (const { where, idOf } of byNamespace(ids)) {
    const each = `{range .items[*]}{.metadata.name}{'|'}${path}{'\\n'}{end}`;
    const ran = await shell.run("kubectl", ["get", "mpijob", ...where, "-o", `jsonpath=${each}`]);
    if (ran.code !== 0) throw noAnswer("kubernetes", "kubectl get mpijob", ran);
    for (const line of lines(ran.stdout)) {
      const [name, text] = line.split("|");
      if (name === undefined || text === undefined) throw notUnderstood("kubernetes", "kubectl get mpijob", line);
      found.push([idOf(name), text]);
    }
  }
  return found;
}

async function marks(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  const found = await ask(ids, "{.metadata.labels.tsdask}", shell);
  return new Map(found.filter(([id]) => ids.includes(id)));
}

async function cancel(ids: readonly string[], shell: Shell): Promise<void> {
  const failed: Failure[] = [];
  for (const { where, names } of byNamespace(ids)) {
    const ran = await shell.run("kubectl", [
      "delete",
      "mpijob",
      ...where,
      "--ignore-not-found",
      "--wait=false",
      ...names,
    ]);
    if (ran.code !== 0)
      failed.push(notCancelled("kubernetes", ["kubectl delete mpijob", ...where].join(" "), names, ran));
  }
  if (failed[0] !== undefined) throw failed[0];
}

/** The line that deletes these jobs, for people. Pure. */
export function deleteLine(ids: readonly string[]): string {
  const each = byNamespace(ids).map(({ where, names }) => ["kubectl delete mpijob", ...where, ...names].join(" "));
  return each.join("; ");
}

/** The last condition that is true tells: Created, Suspended, Running, Restarting, Succeeded, Failed, Evicted. */
async function states(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, JobState>> {
  const found = await ask(ids, "{range .status.conditions[?(@.status=='True')]}{.type}{','}{end}", shell);
  return statesOf(
    ids,
    found.map(([id, conditions]) => [id, stateOf(conditions.split(","))]),
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
