import { nothingLeft } from "./bed/left.ts";
import { launcher } from "./bed/launchers.ts";
import { python } from "./bed/pythons.ts";
import { run, type Finished } from "./bed/run.ts";
import { tsdask } from "./launch.ts";

/** What every script uses to tell who did its tasks, and whether this process has started another. */
const seen = `
import os, psutil

def pid():
    import os
    return os.getpid()

def show(client):
    client.wait_for_workers(2)
    info = client.scheduler_info()["workers"].values()
    ran = set(client.gather([client.submit(pid, pure=False, workers=[worker], allow_other_workers=False) for worker in client.scheduler_info()["workers"]]))
    own = [child for child in psutil.Process().children(recursive=True)]
    print("names", *sorted(worker["name"] for worker in info), "processes", len(ran), "here", os.getpid() in ran, "own", len(own), flush=True)
`;

const begin = "import os\nfrom seen import pid, show\nfrom dask.distributed import Client\n";

/** Like Security.temporary(), which needs the package cryptography. */
export const ownSecurity = `
import subprocess
from distributed import Security
request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mine", "-keyout", "-"]
mine = subprocess.run(request, capture_output=True, text=True, check=True).stdout
ends = {f"tls_{end}_{part}": mine for end in ("client", "scheduler") for part in ("cert", "key")}
security = Security(require_encryption=True, tls_ca_file=mine, **ends)
`;

/** Runs a script that asks for a cluster of its own, in a launch of two workers. */
export async function launch(
  text: string,
  {
    words = [],
    via = "local",
    path = python().path,
    env = {},
  }: {
    readonly words?: readonly string[];
    readonly via?: "local" | "openmpi4" | "mpich4" | "srun-pmi2";
    readonly path?: string;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<Finished> {
  await using clean = nothingLeft();
  // Dask keeps the locks of a script's own cluster in TMPDIR, for the next one.
  clean.allow(/^scheduler/, /^dask-(scratch|worker)-space(\/\w+\.lock)?$/);
  clean.write("seen.py", seen);
  const file = clean.write("script.py", begin + text);
  const started = launcher(via);
  await started.ready();
  return await run(
    started.command(4, [tsdask, "--python", path, ...words, file], via === "srun-pmi2" ? { nodes: 2 } : {}),
    { folder: clean.folder, env: { ...clean.env, ...env, PYTHONDONTWRITEBYTECODE: "1" } },
  );
}
