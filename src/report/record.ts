import { join } from "node:path";
import * as v from "valibot";
import { Failure } from "../errors/failure.ts";
import { readPrivateFile } from "../security/private-files.ts";
import { daskPageName, recordName, type LaunchHead, type RecordLine } from "./lines.ts";

/** What is known of a launch, put together from its record. */
export interface LaunchRecord {
  readonly head: LaunchHead | undefined;
  /** In the order of time. */
  readonly lines: readonly RecordLine[];
  /** Dask's own report, a page of HTML, or why there is none, where that is known. */
  readonly dask: { readonly html: string } | { readonly problem: string | undefined };
  /**
   * What the batch system says that the job used, in its own words; `asOf` (ms since 1970) where it was asked before
   * the end.
   */
  readonly accounting?: { readonly text: string; readonly asOf?: number };
}

const text = v.string();
const number = v.number();
const at = number;
const ages = v.partial(v.object({ started: number, met: number, told: number, forked: number }));

const Line = v.variant("k", [
  v.object({
    k: v.literal("launch"),
    at,
    format: v.literal(1),
    name: text,
    launch: text,
    version: text,
    started: number,
    launcher: text,
    size: number,
    host: text,
    schedulerRank: v.optional(number),
    clientRank: v.optional(number),
    workerRanks: v.array(number),
    script: v.optional(text),
    cwd: text,
    python: text,
    options: v.array(v.tuple([text, text, text])),
    job: v.object({ system: text, id: v.optional(text) }),
    jobStarted: v.optional(number),
    ends: v.optional(number),
  }),
  v.object({ k: v.literal("ranks"), at, host: text, ranks: v.array(number) }),
  v.object({ k: v.literal("python"), at, host: text, python: text, dask: text }),
  v.object({ k: v.literal("scheduler"), at, host: text, address: text }),
  v.object({
    k: v.literal("worker"),
    at,
    rank: number,
    host: text,
    name: text,
    threads: number,
    limit: number,
    ages: v.optional(ages),
  }),
  v.object({
    k: v.literal("lost"),
    at,
    rank: number,
    host: text,
    why: text,
    restarting: v.boolean(),
    cause: v.optional(v.picklist(["memory", "killed"])),
  }),
  v.object({ k: v.literal("away"), at, rank: number, host: text, why: text }),
  v.object({ k: v.literal("script"), at, host: text }),
  v.object({ k: v.literal("script-over"), at, code: number, signal: v.optional(text) }),
  v.object({ k: v.literal("signal"), at, signal: text }),
  v.object({ k: v.literal("leave"), at }),
  v.object({ k: v.literal("message"), at, text }),
  v.object({
    k: v.literal("sample"),
    at,
    workers: v.array(v.tuple([text, number, number, number, number])),
    finished: number,
    idle: number,
  }),
  v.object({ k: v.literal("full"), at }),
  v.object({
    k: v.literal("end"),
    at,
    why: text,
    ending: v.optional(text),
    code: number,
    usage: v.optional(v.looseObject({ workers: number, restarts: number })),
  }),
]);

/** The record's lines; half a line, or what another version wrote, is passed over. Pure. */
export function parseRecord(content: string): readonly RecordLine[] {
  const lines = content.split("\n").flatMap((line) => {
    try {
      const result = v.safeParse(Line, JSON.parse(line));
      return result.success ? [result.output as RecordLine] : [];
    } catch {
      return [];
    }
  });
  return lines.toSorted((a, b) => a.at - b.at);
}

/** Reads the record that a launch has left in a folder. Throws TSD-073; where there is none, it is empty. */
export async function readRecord(folder: string): Promise<LaunchRecord> {
  const lines = parseRecord((await own(join(folder, recordName))) ?? "");
  const head = lines.find((line) => line.k === "launch");
  const page = await own(join(folder, daskPageName));
  return { head, lines, dask: daskOf(page) };
}

function daskOf(page: string | undefined): LaunchRecord["dask"] {
  if (page === undefined) return { problem: undefined };
  return page.startsWith(problemMark) ? { problem: page.slice(problemMark.length) } : { html: page };
}

/** What the file of Dask's report begins with where it could not be made. */
export const problemMark = "problem: ";

/** Dask's report of ten thousand tasks has some MB (bytes). */
const largest = 64 * 1024 * 1024;

async function own(path: string): Promise<string | undefined> {
  try {
    return await readPrivateFile(path, { largest });
  } catch (error) {
    if (error instanceof Failure && error.code === "TSD-074") return undefined;
    throw error;
  }
}
