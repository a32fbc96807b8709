import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jobEnvironment, ours } from "../batch-jobs.ts";
import { command } from "../bed/command.ts";
import { nothingLeft } from "../bed/left.ts";
import { python } from "../bed/pythons.ts";
import { output, run, start, tell } from "../bed/run.ts";
import { codes, faultLaunchers, launch, message } from "./fault.ts";

/** Kills the scheduler and goes on with what is there then; `usable` is how long that took, in seconds. */
const kills = `
import os, signal, socket, sys, time
from concurrent.futures import CancelledError
from dask.distributed import Client

def usable(client, workers):
    while True:
        try:
            client.wait_for_workers(workers, timeout=10)
            return client.submit(sum, [20, 22], pure=False).result(timeout=10)
        except (OSError, CancelledError):
            time.sleep(0.05)

if __name__ == "__main__":
    workers = int(sys.argv[1])
    with Client() as client:
        client.wait_for_workers(workers)
        kept = client.submit(lambda: "kept")
        kept.result()
        host, port = client.scheduler.address.split("//")[1].split(":")
        idle = socket.create_connection((host, int(port)))
        before = client.run_on_scheduler(os.getpid)
        os.kill(before, signal.Signals[sys.argv[2] if len(sys.argv) > 2 else "SIGKILL"])
        killed = time.monotonic()
        try:
            idle.recv(1)
        except ConnectionResetError:
            pass  # The scheduler had not read all that came.
        try:
            # One that lives, the next, keeps the connection; a dead one's is reset.
            with socket.create_connection((host, int(port))) as again:
                again.settimeout(1)
                print("let in by the next" if again.recv(1) else "let in by the dead")
        except TimeoutError:
            print("let in by the next")
        except ConnectionResetError:
            print("let in by the dead")
        except ConnectionRefusedError:
            print("refused at once")
        while True:
            try:
                with Client(set_as_default=False, timeout=1) as other:
                    if other.run_on_scheduler(os.getpid) != before:
                        assert usable(other, workers) == 42
                        break
            except OSError:
                time.sleep(0.05)
        print("usable", time.monotonic() - killed, flush=True)
        try:
            print("still there", kept.result(timeout=10))
        except (OSError, CancelledError) as error:
            print("lost", type(error).__name__)
        assert usable(client, workers) == 42
        print("workers", sorted(client.scheduler_info(n_workers=-1)["workers"]), client.scheduler_info()["id"], flush=True)
        sys.exit(7)
`;

/** So long after the kill (s); two are usual where no others compute. */
const usableWithin = 30;
const seconds = (text: string): number => Number(/^usable ([\d.]+)$/m.exec(text)?.[1]);

test.each(["SIGKILL", "SIGINT"])(
  "a served cluster's scheduler that %s ended is there again, with its own and its joined workers; its files stay true",
  async (signal) => {
    await using clean = nothingLeft();
    const place = { folder: clean.folder, env: jobEnvironment(clean), deadline: 100 };
    const file = clean.write("client.py", kills);
    await using served = start(ours("--np", "2", "--dashboard-address", ":0"), place);
    await served.says(/the worker is in/, 60);
    await using joined = start(ours("--np", "1", "--no-scheduler"), place);
    await joined.says(/the worker is in/, 60);
    const published = (): { id: string; address: string; tsdask: { dashboard: object } } =>
      JSON.parse(readFileSync(join(clean.folder, "scheduler.json"), "utf8"));
    const before = published();
    const lines = await output(ours("env", "--shell", "bash"), place);
    const client = await run(
      command("bash", "-c", `eval "$1"; shift; exec "$@"`, "bash", lines, python().path, file, "2", signal),
      place,
    );
    expect(client.code, tell(client)).toBe(7);
    expect(seconds(client.stdout), tell(client)).toBeLessThan(usableWithin);
    expect(client.stdout).toMatch(/^lost \w+$/m);
    // Dask's Client does not come back when a process that is no more has let it in.
    expect(client.stdout).toMatch(/^(refused at once|let in by the next)$/m);
    const after = published();
    expect(client.stdout).toContain(after.id);
    expect(after.id).not.toBe(before.id);
    expect(after).toMatchObject({ address: before.address, tsdask: { dashboard: before.tsdask.dashboard } });
    expect(await run(ours("stop", "--all"), place)).toMatchObject({ code: 0 });
    expect(await joined.finished).toMatchObject({ code: 0 });
    const finished = await served.finished;
    expect(codes(finished)).toEqual(["TSD-190"]);
    expect(finished.stderr).toContain("the scheduler answers again");
  },
);

test("with a script it comes back where that was asked for, and no more often", async () => {
  const [local] = faultLaunchers.filter(({ name }) => name === "local");
  if (local === undefined) throw new Error("there is no built-in launcher");
  const twice = `${kills}`.replace("sys.exit(7)", "os.kill(client.run_on_scheduler(os.getpid), 9); time.sleep(60)");
  await using one = await launch(local, { script: twice, args: ["2"], options: ["--scheduler-restarts", "1"] });
  const finished = await one.ends(60);
  expect(finished.code, tell(finished)).toBe(72);
  expect(seconds(finished.stdout), tell(finished)).toBeLessThan(usableWithin);
  expect(finished.stderr).toMatch(message("TSD-190"));
  expect(finished.stderr).toMatch(message("TSD-051"));
});
