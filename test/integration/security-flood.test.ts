import { once } from "node:events";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { command } from "./bed/command.ts";
import { nothingLeft } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { output } from "./bed/run.ts";
import { startCluster, type SecureCluster } from "./security/cluster.ts";
import type { Flood } from "./security/flood.ts";

const program = join(import.meta.dirname, "security", "flood.ts");

/** Holds idle connections to a port for some seconds; disposing ends them. */
async function strangers(flood: Flood): Promise<Disposable> {
  const child = spawn(process.execPath, ["--experimental-strip-types", "--no-warnings", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(JSON.stringify(flood));
  await once(child.stdout, "data");
  return { [Symbol.dispose]: () => void child.kill() };
}

const client = `
import sys
from distributed import Client
from distributed.security import Security
folder, address = sys.argv[1:]
security = Security(require_encryption=True, tls_ca_file=f"{folder}/ca.pem", tls_client_cert=f"{folder}/cert.pem", tls_client_key=f"{folder}/key.pem")
with Client(address, security=security, timeout=40) as client:
    print("sum", client.submit(sum, [1, 2, 3]).result(timeout=40))
`;

/** A client of the owner's, from a process of its own. */
const connects = async ({ file, folder }: SecureCluster): Promise<string> =>
  output(command(python().path, "-c", client, folder, file.address), { deadline: 60 });

describe("1,100 idle connections where a process may have 1,024 files", () => {
  test("to the scheduler do not keep a client out, and are said in a few lines", async () => {
    await using clean = nothingLeft();
    await using cluster = await startCluster(clean, { files: 1024 });
    const { hostname, port } = new URL(cluster.file.address.replace("tls:", "http:"));
    {
      using _ = await strangers({ host: hostname, port: Number(port), connections: 1_100, seconds: 50 });
      expect(await connects(cluster)).toContain("sum 6");
      await cluster.compute();
    }
    await cluster.stop();
    const { code, stderr } = await cluster.running.finished;
    expect(code).toBe(0);
    expect(stderr).toContain("connections refused:");
    expect(stderr.length).toBeLessThan(20_000);
  });

  test("to the dashboard do not keep its owner out", async () => {
    await using clean = nothingLeft();
    await using cluster = await startCluster(clean, { files: 1024 });
    const { host = "", port = 0 } = cluster.file.tsdask?.dashboard ?? {};
    {
      using _ = await strangers({ host, port, connections: 1_100, seconds: 50 });
      const answer = await fetch(`http://${host}:${port}/health`, {
        headers: { Authorization: `Bearer ${cluster.token}` },
        signal: AbortSignal.timeout(40_000),
      });
      expect(answer.status).toBe(200);
      expect(await connects(cluster)).toContain("sum 6");
    }
    await cluster.stop();
    const { code, stderr } = await cluster.running.finished;
    expect(code).toBe(0);
    expect(stderr.length).toBeLessThan(20_000);
  });
});
