import { openSync, closeSync } from "node:fs";

import { afterEach, expect, it } from "vitest";

import { openPmi, type Pmi } from "../../../src/launcher/pmi/pmi.ts";
import { pmiServer, wellBehaved, type Server } from "./server.ts";

const deadline = { deadline: 60_000 };
let server: Server | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function open(answer: (line: string) => string | undefined): Promise<Pmi> {
  server = await pmiServer(answer);
  return openPmi(server.world, deadline);
}

it("carries any text, spread over as many values as it needs", async () => {
  const values = new Map<string, string>();
  const pmi = await open(wellBehaved(values));
  expect(pmi).toMatchObject({ kvsName: "kvs_1", maxValue: 63 });
  const text = 'a b=c;\n{"é": "日本"}'.repeat(20);
  await pmi.put("tsdask", text);
  await pmi.fence();
  expect(await pmi.get("tsdask")).toBe(text);
  expect(values.size).toBeGreaterThan(5);
  for (const value of values.values()) expect(value).toMatch(/^[\w.-]{1,63}$/);
  expect(await pmi.get("other")).toBeUndefined();
  await pmi.finalize();
});

it("carries an empty text, and takes a value of somebody else's for none", async () => {
  const values = new Map([["theirs", "P0-business-card"]]);
  const pmi = await open(wellBehaved(values));
  await pmi.put("empty", "");
  expect(await pmi.get("empty")).toBe("");
  expect(await pmi.get("theirs")).toBeUndefined();
});

it("puts a reply together that comes in pieces", async () => {
  const answer = wellBehaved();
  const rests: string[] = [];
  server = await pmiServer((line) => {
    const reply = answer(line) ?? "";
    rests.push(reply.slice(3));
    setTimeout(() => server?.say(rests.shift() ?? ""), 5);
    return reply.slice(0, 3);
  });
  await expect(openPmi(server.world, deadline)).resolves.toMatchObject({ kvsName: "kvs_1" });
});

it("asks the launcher to end all ranks with a code", async () => {
  const pmi = await open(wellBehaved());
  pmi.abort(69);
  await expect.poll(() => server?.heard()).toContain("cmd=abort exitcode=69\n");
});

it.each<[string, (line: string) => string | undefined, string, number?]>([
  ["never answers", () => undefined, "TSD-031", 300],
  ["closes the connection", () => "close", "TSD-032"],
  ["speaks something else", () => "HTTP/1.1 400 Bad Request\n", "TSD-033"],
  ["answers another request", () => "cmd=finalize_ack\n", "TSD-033"],
  ["sends without end", () => "x".repeat(2_000_000), "TSD-032"],
  [
    "refuses the version",
    (line) =>
      line.includes("cmd=init ") ? "cmd=response_to_init rc=-1 pmi_version=3 pmi_subversion=0\n" : wellBehaved()(line),
    "TSD-033",
  ],
  ["knows no store", (line) => (line.includes("get_my_kvsname") ? "cmd=my_kvsname\n" : wellBehaved()(line)), "TSD-033"],
])("reports a launcher that %s", async (_, answer, code, within = deadline.deadline) => {
  server = await pmiServer(answer);
  await expect(openPmi(server.world, { deadline: within })).rejects.toMatchObject({ code, exitCode: 69 });
});

it("reports a launcher that dies in a fence", async () => {
  const pmi = await open((line) => (line.includes("barrier_in") ? "close" : wellBehaved()(line)));
  await expect(pmi.fence()).rejects.toMatchObject({ code: "TSD-032", facts: { step: "barrier of 2 ranks" } });
});

it("gives a fence a deadline of its own", async () => {
  const pmi = await open((line) => (line.includes("barrier_in") ? undefined : wellBehaved()(line)));
  await expect(pmi.fence(50)).rejects.toMatchObject({ code: "TSD-031", facts: { seconds: 0.05 } });
});

it("reports a value that the launcher refuses", async () => {
  const pmi = await open((line) =>
    line.includes("cmd=put") ? "cmd=put_result rc=-1 msg=duplicate_key\n" : wellBehaved()(line),
  );
  await expect(pmi.put("a", "b")).rejects.toMatchObject({ code: "TSD-033", facts: { reply: "rc=-1 duplicate_key" } });
});

it("does not touch a descriptor that is no socket, nor one that is closed", async () => {
  const file = openSync("/dev/null", "r+");
  const at = (fd: number) => openPmi({ launcher: "hydra", rank: 0, size: 1, pmi: { version: 1, fd } }, deadline);
  await expect(at(file)).rejects.toMatchObject({ code: "TSD-030" });
  closeSync(file);
  await expect(at(987)).rejects.toMatchObject({ code: "TSD-030" });
});

it("reports a port where nobody listens", async () => {
  const dead = await pmiServer(() => undefined);
  await dead.close();
  await expect(openPmi(dead.world, deadline)).rejects.toMatchObject({ code: "TSD-032" });
});
