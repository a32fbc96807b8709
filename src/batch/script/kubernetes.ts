import { environmentLines, mebibytes, quoted, ranksOf, type Rendered, type ScriptWish } from "./wish.ts";

/**
 * A manifest for `kubectl create`: an MPIJob of Kubeflow's MPI operator (kubeflow.org/v2beta1). With MPICH, ranks meet through its process
 * manager and no shared volume is needed; with Open MPI they meet in the working folder, which a volume must then share.
 */
export function kubernetesScript(wish: ScriptWish): Rendered {
  const { name, nodes, ranksPerNode, threads, volume } = wish;
  const implementation = /openmpi|open-mpi/i.test(wish.launcher ?? "") ? "OpenMPI" : /intel|impi/i.test(wish.launcher ?? "") ? "Intel" : "MPICH";
  const image = wish.image ?? "registry.example.org/dask:latest";
  const folder = volume?.path ?? "/home/mpiuser";
  const mounts = volume === undefined ? [] : ["volumeMounts:", `- {name: shared, mountPath: ${yamlText(volume.path)}}`];
  const volumes = volume === undefined ? [] : ["volumes:", "- name: shared", `  persistentVolumeClaim: {claimName: ${yamlText(volume.claim)}}`];
  const limits = [
    `cpu: ${ranksPerNode * threads}`,
    ...(wish.memory === undefined ? [] : [`memory: ${mebibytes(wish.memory)}Mi`]),
    ...(wish.gpus === undefined ? [] : [`nvidia.com/gpu: ${wish.gpus}`]),
  ];
  const words = [
    wish.command,
    ...(wish.join === undefined ? [] : ["--no-scheduler", "--scheduler-file", wish.join.schedulerFile]),
    ...(wish.time === undefined ? [] : ["--walltime", String(Math.ceil(wish.time))]),
    ...wish.words,
  ];
  const launch = [...environmentLines(wish), `exec mpirun -np ${ranksOf(wish)} ${words.map(quoted).join(" ")}`];
  const lines = [
    "# A Dask cluster as an MPIJob; written by `tsdask-mpi script`. Change what you like.",
    `# The image needs tsdask-mpi, Python with Dask, sshd and ${implementation} for the user mpiuser (uid 1000), as the operator's base images have them.`,
    "apiVersion: kubeflow.org/v2beta1",
    "kind: MPIJob",
    "metadata:",
    `  generateName: ${yamlText(`${name.toLowerCase().replace(/[^a-z0-9-]+/g, "-")}-`)}`,
    ...(wish.queue === undefined ? [] : [`  namespace: ${yamlText(wish.queue)}`]),
    "spec:",
    `  slotsPerWorker: ${ranksPerNode}`,
    `  mpiImplementation: ${implementation}`,
    "  sshAuthMountPath: /home/mpiuser/.ssh",
    "  runPolicy:",
    "    cleanPodPolicy: Running",
    ...(wish.time === undefined ? [] : [`    activeDeadlineSeconds: ${Math.ceil(wish.time)}`]),
    ...wish.directives.map((line) => `    ${line}`),
    "  mpiReplicaSpecs:",
    "    Launcher:",
    "      replicas: 1",
    "      template:",
    "        metadata:",
    "          annotations: {sidecar.istio.io/inject: \"false\"}",
    "        spec:",
    ...indented(10, [
      "restartPolicy: Never",
      "containers:",
      `- name: launcher`,
      `  image: ${yamlText(image)}`,
      `  workingDir: ${yamlText(folder)}`,
      "  securityContext: {runAsUser: 1000}",
      "  env:",
      "  - name: TSDASK_MPIJOB",
      "    valueFrom: {fieldRef: {fieldPath: \"metadata.labels['training.kubeflow.org/job-name']\"}}",
      "  # Arguments, not a command: the operator's base images wait in their entry point for the workers' names.",
      "  args:",
      "  - /bin/bash",
      "  - -c",
      "  - |",
      ...indented(4, launch),
      ...indented(2, mounts),
      ...volumes,
    ]),
    "    Worker:",
    `      replicas: ${nodes}`,
    "      template:",
    "        metadata:",
    "          annotations: {sidecar.istio.io/inject: \"false\"}",
    "        spec:",
    ...indented(10, [
      "containers:",
      "- name: worker",
      `  image: ${yamlText(image)}`,
      `  workingDir: ${yamlText(folder)}`,
      "  securityContext: {runAsUser: 1000}",
      "  args: [/usr/sbin/sshd, -De, -f, /home/mpiuser/.sshd_config]",
      "  readinessProbe: {tcpSocket: {port: 2222}, initialDelaySeconds: 2}",
      "  resources:",
      "    limits:",
      ...indented(6, limits),
      ...indented(2, mounts),
      ...volumes,
    ]),
    "",
  ];
  return {
    text: lines.join("\n"),
    notes: [
      ...(wish.image === undefined ? ["Kubernetes: put your own image in (--image); it needs tsdask-mpi, Python with Dask, sshd and mpirun."] : []),
      ...(implementation === "OpenMPI" && volume === undefined ? ["Kubernetes: with Open MPI the ranks meet in the working folder, which a volume must share (--volume CLAIM:/path)."] : []),
      ...(wish.join !== undefined && volume === undefined ? ["Kubernetes: to join a cluster, the volume with its scheduler file must be mounted (--volume CLAIM:/path)."] : []),
      ...(wish.account === undefined ? [] : ["Kubernetes has no accounts: --account is left out."]),
      ...(wish.array === undefined ? [] : ["Kubernetes has no job arrays: create the manifest as often as you want a job."]),
    ],
  };
}

function indented(spaces: number, lines: readonly string[]): readonly string[] {
  return lines.map((line) => `${" ".repeat(spaces)}${line}`);
}

/** A YAML scalar; JSON's strings are YAML's. */
function yamlText(text: string): string {
  return /^[A-Za-z][\w./-]*$/.test(text) && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(text) ? text : JSON.stringify(text);
}
