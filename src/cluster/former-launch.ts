import { identity } from "../dask/rpc.ts";
import { lineTrouble } from "../dask/comm.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { hubAnswers } from "../rendezvous/record.ts";
import { clusterFiles, readClusterCredentials } from "../security/cluster-folder.ts";
import { readSmallFile } from "../security/small-file.ts";

/**
 * Whether the launch that has a cluster folder answers from wherever it is: its hub, known by the certificate that its
 * record names, or its scheduler, by the credentials in the folder. A port that another program has by now is neither.
 * Never rejects.
 */
export async function folderIsInUse(folder: string): Promise<boolean> {
  const found = await Promise.all([hubAnswers(folder, deadlines.formerLaunch), schedulerAnswers(folder)]);
  return found.includes(true);
}

async function schedulerAnswers(folder: string): Promise<boolean> {
  try {
    const [, address] =
      /^scheduler-address: "?(tls:[^"\n]+)/m.exec(readSmallFile(clusterFiles(folder).daskConfig)) ?? [];
    // Without TLS, whoever answers may be another.
    if (address === undefined) return false;
    await identity({ address, tls: await readClusterCredentials(folder) }, { deadline: deadlines.formerLaunch });
    return true;
  } catch (error) {
    // It has taken the credentials, and is too busy to say more.
    const line = error instanceof Failure ? lineTrouble(error) : undefined;
    return line?.trouble === "silent" && (line.stage === "handshake" || line.stage === "answer");
  }
}
