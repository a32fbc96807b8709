import { Failure } from "../../errors/failure.ts";
import { quoted } from "../../batch/script/job-spec.ts";
import { nearest } from "../../config/suggest.ts";
import { clustersNamed, listClusters } from "../../registry/find.ts";
import { durationText } from "../../ui/format.ts";
import { remembered, rememberedNames, type Session } from "./remember.ts";

/**
 * The session that a word names; undefined where it is none of the user's clusters, but a host. Throws TSD-187 (its
 * file cannot be believed), TSD-188 (it has ended) and TSD-189 (a cluster of this machine's list, which was not opened
 * from here).
 */
export async function knownByName(word: string, env: NodeJS.ProcessEnv): Promise<Session | undefined> {
  const session = await remembered(word, env);
  if (session?.ended !== undefined) {
    const again = (session.again ?? [session.login]).map(quoted).join(" ");
    throw hasEnded(word, session.ended, {
      cause: "It was opened from here; a job's time, its owner, or what it ran has ended it.",
      cure: `Start one like it: \`tsdask-mpi open ${again}\`.`,
    });
  }
  if (session !== undefined) return session;
  const [listed] = await clustersNamed(word, env);
  if (listed === undefined) return undefined;
  const { entry, state, why = "no more is known of it" } = listed;
  if (state !== "ended") throw new Failure("TSD-189", { name: word, state });
  throw hasEnded(
    word,
    { at: entry.ended ?? entry.started, why },
    {
      cause: "It is in this machine's list of your clusters (`tsdask-mpi list`).",
      cure: `\`tsdask-mpi logs ${word}\` shows what it said; start it again as before, in ${entry.cwd}.`,
    },
  );
}

/**
 * The failure of a host that nobody knows, with the cluster whose name is like its own: that was meant, perhaps. Any
 * other error as it is.
 */
export async function meantByName(error: unknown, word: string, env: NodeJS.ProcessEnv): Promise<unknown> {
  if (!(error instanceof Failure) || error.code !== "TSD-173" || error.facts["unknown"] !== 1) return error;
  const own = (await listClusters(env)).map(({ entry }) => entry.name);
  const like = nearest(word, [...new Set([...(await rememberedNames(env)), ...own])]);
  if (like === undefined) return error;
  const cure = `Did you mean your cluster ${like}? \`tsdask-mpi open ${like}\`. Else t${String(error.facts["cure"]).slice(1)}`;
  return new Failure("TSD-173", { ...error.facts, cure }, { cause: error });
}

function hasEnded(
  name: string,
  { at, why }: NonNullable<Session["ended"]>,
  words: { readonly cause: string; readonly cure: string },
): Failure {
  return new Failure("TSD-188", {
    name,
    when: new Date(at * 1000).toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" }),
    ago: durationText(Date.now() / 1000 - at),
    why,
    ...words,
  });
}
