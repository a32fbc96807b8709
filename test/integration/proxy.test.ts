import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { describe, expect, test } from "vitest";
import { command, isRoot, needs, projectRoot, which } from "./bed/command.ts";
import { launcher } from "./bed/launchers.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { freePort } from "./bed/ports.ts";
import { python } from "./bed/pythons.ts";
import { output, run, start, type Running } from "./bed/run.ts";
import { program, tsdask } from "./launch.ts";

const names = ["alpha", "Beta_2", "gamma"] as const;
const domain = "af.example.org";
const publicOf = (name: string): string => `${name.toLowerCase().replace("_", "-")}.${domain}`;

/** The configuration of docs/security.md, for this port and map. */
function configuration(port: number, map: string): string {
  const page = readFileSync(join(projectRoot, "docs", "security.md"), "utf8");
  const text = /^```haproxy\n([\s\S]*?)^```$/m.exec(page)?.[1] ?? "";
  return text.replace("bind *:8786", `bind 127.0.0.1:${port}`).replace("/etc/haproxy/dask.map", map);
}

/** A program in a network whose name service knows the clusters' names: all of them mean the proxy. */
async function outside(clean: Clean, code: string): Promise<{ readonly code: number | null; readonly text: string }> {
  const hosts = clean.write("hosts", `127.0.0.1 localhost ${names.map(publicOf).join(" ")}\n`);
  const line = `mount --bind ${hosts} /etc/hosts && exec "$@"`;
  const ran = await run(command("unshare", "-m", "sh", "-c", line, "sh", python().path, "-c", code), {
    folder: clean.folder,
    env: clean.env,
    deadline: 60,
  });
  return { code: ran.code, text: `${ran.stdout}${ran.stderr}` };
}

/** Whether the proxy leads to a cluster by this name: it does when it has read the new map. */
function leads(port: number, servername: string): Promise<boolean> {
  return new Promise((resolve) => {
    // Whose certificate it is, is what the clients below look at.
    const asked = connect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false });
    asked.once("secureConnect", () => resolve(true)).once("error", () => resolve(false));
    asked.once("close", () => resolve(false)).once("secureConnect", () => asked.destroy());
  });
}

describe.runIf(isRoot && needs(["haproxy"], "haproxy") === true)(
  "three clusters behind one port of a TLS proxy",
  () => {
    test("each is reached by its name alone, and by its own certificate alone", async () => {
      await using clean = nothingLeft();
      clean.allow(/^in-\w+$/, /^dask\.map$/, /^haproxy\.pid$/, /^tried$/);
      const port = await freePort();
      const map = join(clean.folder, "dask.map");
      const ours = (...words: readonly string[]): Promise<string> =>
        output(command(tsdask, ...words), { folder: clean.folder, env: clean.env, deadline: 60 });
      await using stack = new AsyncDisposableStack();

      // As the facility has it: a proxy that runs all the time, and a map that follows the clusters. The first reload
      // fails: it is tried again.
      clean.write("dask.map", "");
      const file = clean.write("haproxy.cfg", configuration(port, map));
      const pid = join(clean.tmp, "haproxy.pid");
      const proxy = stack.use(
        start(command(which("haproxy") ?? "", "-W", "-db", "-p", pid, "-f", file), {
          folder: clean.folder,
          env: clean.env,
          deadline: 280,
        }),
      );
      const tried = join(clean.tmp, "tried");
      const reload = `test -e ${tried} || { touch ${tried}; echo not yet >&2; exit 3; }; kill -USR2 ${proxy.pid}`;
      const watching = stack.use(
        start(command(tsdask, "proxy-map", "--out", map, "--watch", "--reload", reload), {
          folder: clean.folder,
          env: clean.env,
          deadline: 280,
        }),
      );
      const clusters: Running[] = [];
      for (const name of names) {
        const folder = join(clean.folder, `in-${name}`);
        mkdirSync(folder);
        const words = ["--cluster-name", name, "--sni-domain", `AF.example.org:${port}`, "--no-dashboard"];
        const line = launcher("local").command(2, program(...words));
        clusters.push(stack.use(start(line, { folder, env: clean.env, deadline: 280 })));
      }
      await Promise.all(clusters.map((one) => one.says(/the worker is in/, 90)));

      await expect
        .poll(async () => (await ours("proxy-map")).split("\n").map((line) => line.split(" ")[0]), {
          timeout: 20_000,
        })
        .toEqual([...names.map(publicOf).toSorted(), ""]);
      expect(await ours("proxy-map", "--format", "traefik")).toContain("HostSNI(`beta-2.af.example.org`)");
      await expect.poll(() => readFileSync(map, "utf8"), { timeout: 60_000 }).toBe(await ours("proxy-map"));
      expect(statSync(map).mode & 0o777).toBe(0o644);
      expect(readFileSync(map, "utf8")).toMatch(/^alpha\.af\.example\.org \d+\.\d+\.\d+\.\d+\/\d+$/m);
      for (const name of names) await expect.poll(() => leads(port, publicOf(name)), { timeout: 60_000 }).toBe(true);
      expect(proxy.stderr()).not.toContain("ALERT");

      // What is printed, as it is printed; each cluster's own folder tells which one answered.
      const printed = await Promise.all(names.map((name) => ours("connect", "--public", name)));
      const codes = printed.map((text) =>
        text
          .split("\n")
          .filter((line) => line.startsWith("  "))
          .map((line) => line.slice(2))
          .join("\n"),
      );
      const asks =
        "\nimport os\nprint('in', client.run_on_scheduler(os.getcwd), client.submit(sum, range(10)).result())";
      for (const [index, name] of names.entries())
        expect(await outside(clean, `${codes[index]}${asks}`)).toMatchObject({
          code: 0,
          text: expect.stringMatching(new RegExp(`/in-${name} 45$`, "m")) as string,
        });

      // A stranger with the certificate of another cluster gets nothing, nor does one without a name, or with one that
      // is nobody's.
      const [alpha = "", beta = ""] = codes;
      const short = "\nimport dask; dask.config.set({'distributed.comm.timeouts.connect': '3s'})\n";
      const first = beta.split("\n")[0] ?? "";
      const wrong = [
        alpha.replace(publicOf("alpha"), publicOf("Beta_2")),
        alpha.replace(publicOf("alpha"), "127.0.0.1"),
        alpha.replace(publicOf("alpha"), "localhost"),
      ].map((code) => code.replace(first, `${first}${short}`));
      for (const refused of await Promise.all(wrong.map((code) => outside(clean, `${code}${asks}`)))) {
        expect(refused.code).toBe(1);
        expect(refused.text).not.toMatch(/^in /m);
      }
      expect(
        (await run(command(tsdask, "connect", "--public", join(clean.folder, "nowhere.json")), clean)).code,
      ).not.toBe(0);

      await ours("stop", "--all");
      expect(await ours("proxy-map")).toBe("");
      for (const one of clusters) await one.finished;
      await expect.poll(() => readFileSync(map, "utf8"), { timeout: 60_000 }).toBe("");
      expect(watching.stderr().match(/TSD-199 .*exit code 3; not yet/g)).toHaveLength(1);
      for (const one of [watching, proxy]) {
        one.signal("SIGTERM");
        await one.finished;
      }
    });
  },
);
