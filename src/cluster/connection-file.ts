import { unlink } from "node:fs/promises";
import { ownText, type ClusterRecord } from "../dask/scheduler-file.ts";
import { writePrivateFile } from "../security/private-files.ts";
import type { LaunchSecrets } from "./secrets.ts";

type JupyterPlace = NonNullable<ClusterRecord["jupyter"]>;

/** Writes where Jupyter is and its token for a portal that leads there (Open OnDemand's connection.yml), mode 0600. Throws TSD-072. */
export async function writeConnection(
  path: string,
  place: JupyterPlace,
  secrets: Promise<LaunchSecrets>,
): Promise<void> {
  const { token } = await secrets;
  await writePrivateFile(path, `${head(place)}password: ${JSON.stringify(token ?? "")}\n`);
}

/** Removes the file if it still is what this launch wrote: a session that has ended shows no way in. */
export async function removeConnection(path: string, place: JupyterPlace | null): Promise<void> {
  const text = place === null ? undefined : await ownText(path).catch(() => undefined);
  if (place !== null && text?.startsWith(head(place)) === true) await unlink(path).catch(() => undefined);
}

function head({ node, host, port }: JupyterPlace): string {
  return `host: ${JSON.stringify(node ?? host)}\nport: ${port}\n`;
}
