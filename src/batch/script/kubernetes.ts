import { parseDocument, stringify } from "yaml";
import { show } from "../../config/values.ts";
import { Failure } from "../../errors/failure.ts";
import { environmentLines, mebibytes, quoted, ranksOf, type Rendered, type JobSpec } from "./job-spec.ts";

/**
 * A manifest for `kubectl create`: an MPIJob of Kubeflow's MPI operator (kubeflow.org/v2beta1). With MPICH, ranks meet
 * through its process manager and no shared volume is needed; with Open MPI they meet in the working folder, which a
 * volume must then share.
 */
export function kubernetesScript(spec: JobSpec): Rendered {
  const { name, nodes, ranksPerNode, threads, volume } = spec;
  const implementation = /openmpi|open-mpi/i.test(spec.launcher ?? "")
    ? "OpenMPI"
    : /intel|impi/i.test(spec.launcher ?? "")
      ? "Intel"
      : "MPICH";
  const image = spec.image ?? "registry.example.org/dask:latest";
  const folder = volume?.path ?? "/home/mpiuser";
  const mounts = volume === undefined ? {} : { volumeMounts: [{ name: "shared", mountPath: volume.path }] };
  const volumes =
    volume === undefined ? {} : { volumes: [{ name: "shared", persistentVolumeClaim: { claimName: volume.claim } }] };
  const words = [
    spec.command,
    ...(spec.join === undefined ? [] : ["--no-scheduler", "--scheduler-file", spec.join.schedulerFile]),
    ...(spec.time === undefined ? [] : ["--walltime", String(Math.ceil(spec.time))]),
    ...spec.words,
  ];
  const launch = [...environmentLines(spec), `exec mpirun -np ${ranksOf(spec)} ${words.map(quoted).join(" ")}`];
  const pod = { image, workingDir: folder, securityContext: { runAsUser: 1000 } };
  const metadata = { annotations: { "sidecar.istio.io/inject": "false" } };
  const launcher = {
    name: "launcher",
    ...pod,
    // The id as the submitter knows it: `<namespace>.<name>`.
    env: [
      { name: "MPIJOB_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
      {
        name: "MPIJOB_NAME",
        valueFrom: { fieldRef: { fieldPath: "metadata.labels['training.kubeflow.org/job-name']" } },
      },
      { name: "TSDASK_MPIJOB", value: "$(MPIJOB_NAMESPACE).$(MPIJOB_NAME)" },
    ],
    // Arguments, not a command: the operator's base images wait in their entry point for the workers' names.
    args: ["/bin/bash", "-c", plainDollars(`${launch.join("\n")}\n`)],
    ...mounts,
  };
  const limits = {
    cpu: ranksPerNode * threads,
    ...(spec.memory === undefined ? {} : { memory: `${mebibytes(spec.memory)}Mi` }),
    ...(spec.gpus === undefined ? {} : { "nvidia.com/gpu": spec.gpus }),
  };
  const worker = {
    name: "worker",
    ...pod,
    args: ["/usr/sbin/sshd", "-De", "-f", "/home/mpiuser/.sshd_config"],
    readinessProbe: { tcpSocket: { port: 2222 }, initialDelaySeconds: 2 },
    resources: { limits },
    ...mounts,
  };
  const job = {
    apiVersion: "kubeflow.org/v2beta1",
    kind: "MPIJob",
    metadata: {
      generateName: `${name.toLowerCase().replace(/[^a-z0-9-]+/g, "-")}-`,
      ...(spec.queue === undefined ? {} : { namespace: spec.queue }),
    },
    spec: {
      slotsPerWorker: ranksPerNode,
      mpiImplementation: implementation,
      sshAuthMountPath: "/home/mpiuser/.ssh",
      runPolicy: {
        cleanPodPolicy: "Running",
        ...(spec.time === undefined ? {} : { activeDeadlineSeconds: Math.ceil(spec.time) }),
        ...directivesOf(spec),
      },
      mpiReplicaSpecs: {
        Launcher: {
          replicas: 1,
          template: { metadata, spec: { restartPolicy: "Never", containers: [launcher], ...volumes } },
        },
        Worker: { replicas: nodes, template: { metadata, spec: { containers: [worker], ...volumes } } },
      },
    },
  };
  const head = [
    "# A Dask cluster as an MPIJob; written by `tsdask-mpi script`. Change what you like.",
    `# The image needs tsdask-mpi, Python with Dask, sshd and ${implementation} for the user mpiuser (uid 1000), as the operator's base images have them.`,
  ];
  return { text: `${head.join("\n")}\n${manifest(job)}`, notes: notesOn(spec, implementation) };
}

/** What the user must know or do beside the manifest. */
function notesOn({ image, volume, join, account, array }: JobSpec, implementation: string): string[] {
  const notes: readonly (readonly [boolean, string])[] = [
    [
      image === undefined,
      "Kubernetes: put your own image in (--image); it needs tsdask-mpi, Python with Dask, sshd and mpirun.",
    ],
    [
      implementation === "OpenMPI" && volume === undefined,
      "Kubernetes: with Open MPI the ranks meet in the working folder, which a volume must share (--volume CLAIM:/path).",
    ],
    [
      join !== undefined && volume === undefined,
      "Kubernetes: to join a cluster, the volume with its scheduler file must be mounted (--volume CLAIM:/path).",
    ],
    [account !== undefined, "Kubernetes has no accounts: --account is left out."],
    [array !== undefined, "Kubernetes has no job arrays: create the manifest as often as you want a job."],
  ];
  return notes.flatMap(([applies, note]) => (applies ? [note] : []));
}

/**
 * YAML as Kubernetes reads it: with the words of YAML 1.1 (`yes`, `on`) quoted where they are text, each long line left
 * whole, nothing shared by an anchor.
 */
function manifest(job: object): string {
  return stringify(job, { schema: "yaml-1.1", aliasDuplicateObjects: false, lineWidth: 0 });
}

/** Text of a container's arguments, in which Kubernetes would fill `$(NAME)` in and take `$$` for `$`. */
function plainDollars(text: string): string {
  return text.replace(/\$(?=[$(])/g, "$$$$");
}

/** The directives are fields of the job's run policy. Throws TSD-131 when they are not, together, a mapping. */
function directivesOf({ directives }: JobSpec): object {
  if (directives.length === 0) return {};
  const text = directives.join("\n");
  const document = parseDocument(text, { schema: "yaml-1.1", logLevel: "silent" });
  const fields: unknown = document.errors.length === 0 ? document.toJS({ maxAliasCount: 0 }) : undefined;
  if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) return fields;
  throw new Failure("TSD-131", {
    where: "--directive",
    problem: "for Kubernetes it is to be fields of the MPIJob's run policy",
    value: show(text),
    hint: "Write `--directive 'ttlSecondsAfterFinished: 600'`, one field each.",
  });
}
