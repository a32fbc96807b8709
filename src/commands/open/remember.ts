import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { Failure } from "../../errors/failure.ts";
import { makeStateFolder, statePaths } from "../../registry/place.ts";
import { keptFor } from "../../registry/write.ts";
import { systemCode } from "../../security/file-problems.ts";
import { readPrivateFile, writePrivateFile } from "../../security/private-files.ts";
import { Job } from "./lines.ts";
import { loginHost, plainProgram } from "./words.ts";

const namePattern = /^\w[\w.-]*$/;
const plain = v.pipe(
  v.string(),
  v.check((text) => !/\p{Cc}/u.test(text), "holds control characters"),
);

/**
 * How to go back to a cluster that was opened from here; once it has ended, that it has. What stands in it goes to ssh,
 * and to a shell there.
 */
const Session = v.object({
  format: v.literal(1),
  name: v.pipe(v.string(), v.regex(namePattern, "not a name")),
  login: v.pipe(v.string(), v.regex(loginHost, "not a host")),
  program: v.pipe(v.string(), v.regex(plainProgram, "not a program")),
  job: v.optional(Job),
  port: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535))),
  /** The words after `tsdask-mpi open` that open one like it. */
  again: v.optional(v.array(plain)),
  /** When it ended (seconds since 1970), and how. */
  ended: v.optional(v.object({ at: v.number(), why: plain })),
});
export type Session = v.InferOutput<typeof Session>;

/** A session's file is some hundred bytes; nothing larger is read. */
const largest = 64 * 1024;
const suffix = ".session.json";
const fileOf = (name: string, env: NodeJS.ProcessEnv): string => join(statePaths(env).opened, `${name}${suffix}`);

/** The folder by which a Client() here reaches the cluster of this name. */
export const clientFolder = (name: string, env: NodeJS.ProcessEnv): string =>
  join(statePaths(env).opened, `${name}.dask`);

/** Writes a session down. Throws TSD-071 and TSD-072. */
export async function remember(session: Session, env: NodeJS.ProcessEnv): Promise<void> {
  makeStateFolder(statePaths(env).opened);
  await writePrivateFile(fileOf(session.name, env), `${JSON.stringify(session)}\n`);
}

/** The session of this name; undefined where there is none. Throws TSD-187 where what lies there cannot be believed. */
export async function remembered(name: string, env: NodeJS.ProcessEnv): Promise<Session | undefined> {
  if (!namePattern.test(name)) return undefined;
  const path = fileOf(name, env);
  const refuse = (problem: string, cause?: unknown): Failure =>
    new Failure("TSD-187", { name, path, problem }, { cause });
  let text: string;
  try {
    text = await readPrivateFile(path, { largest });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error.cause) ?? "")) return undefined;
    throw refuse(String(error.facts["problem"]), error);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw refuse(text.trim() === "" ? "it is empty" : "it is not JSON", error);
  }
  const found = v.safeParse(Session, json);
  if (!found.success) throw refuse(`${v.getDotPath(found.issues[0]) ?? "the whole"}: ${found.issues[0].message}`);
  if (found.output.name !== name) throw refuse(`it is that of ${found.output.name}`);
  return found.output;
}

/** Writes down that a cluster has ended, and how; those that ended long ago are forgotten. */
export async function rememberEnd(name: string, why: string, env: NodeJS.ProcessEnv): Promise<void> {
  // That of a session that was killed, with the keys of a cluster that is gone.
  await rm(clientFolder(name, env), { recursive: true, force: true });
  const at = Math.floor(Date.now() / 1000);
  for (const one of await all(env)) {
    if (one.name === name) await remember({ ...one, ended: { at, why } }, env);
    else if (one.ended !== undefined && (at - one.ended.at) * 1000 > keptFor)
      await rm(fileOf(one.name, env), { force: true });
  }
}

/** The names that can be gone back to. */
export async function rememberedNames(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  return (await all(env)).flatMap(({ name, ended }) => (ended === undefined ? [name] : []));
}

/** All sessions that can be believed. */
async function all(env: NodeJS.ProcessEnv): Promise<readonly Session[]> {
  const files = (await readdir(statePaths(env).opened).catch(() => [])).filter((file) => file.endsWith(suffix));
  const found = files.map(async (file) => {
    try {
      return await remembered(file.slice(0, -suffix.length), env);
    } catch (error) {
      if (error instanceof Failure) return undefined;
      throw error;
    }
  });
  return (await Promise.all(found)).filter((one) => one !== undefined);
}
