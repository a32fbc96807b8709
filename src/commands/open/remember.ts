import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { Failure } from "../../errors/failure.ts";
import { batchNames } from "../../dask/scheduler-file.ts";
import { makeStateFolder, statePaths } from "../../registry/place.ts";
import { readPrivateFile, writePrivateFile } from "../../security/private-files.ts";

/** How to go back to a cluster that was opened from here. */
const Session = v.object({
  format: v.literal(1),
  name: v.pipe(v.string(), v.regex(/^\w[\w.-]*$/)),
  login: v.string(),
  program: v.string(),
  job: v.optional(v.object({ system: v.picklist(batchNames), id: v.string() })),
  port: v.optional(v.number()),
});
export type Session = v.InferOutput<typeof Session>;

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

/** The session of this name; undefined where there is none that can be believed. */
export async function remembered(name: string, env: NodeJS.ProcessEnv): Promise<Session | undefined> {
  if (!/^\w[\w.-]*$/.test(name)) return undefined;
  try {
    const found = v.safeParse(Session, JSON.parse(await readPrivateFile(fileOf(name, env))));
    return found.success ? found.output : undefined;
  } catch (error) {
    if (error instanceof Failure || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Removes what was remembered of a cluster that has ended. */
export async function forget(name: string, env: NodeJS.ProcessEnv): Promise<void> {
  await rm(fileOf(name, env), { force: true });
  // That of a session that was killed, with the keys of a cluster that is gone.
  await rm(clientFolder(name, env), { recursive: true, force: true });
}

/** The names that can be gone back to. */
export async function rememberedNames(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const names = await readdir(statePaths(env).opened).catch(() => []);
  return names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
}
