import { visibleLine } from "../errors/visible.ts";
import { listClusters, type Listed } from "../registry/find.ts";
import { recordFolders } from "../registry/place.ts";
import { readRecord } from "../report/record.ts";

/** So many launches, and so many messages of each, tell the story of a ticket. */
const mostLaunches = 3;
const mostMessages = 12;

/**
 * The last launches of this folder, or, where it has none, of all: how each ended, and what was said, for a ticket.
 * Never throws.
 */
export async function launchLines(env: NodeJS.ProcessEnv, cwd: string): Promise<readonly string[]> {
  try {
    const all = await listClusters(env);
    const here = all.filter(({ entry }) => entry.cwd === cwd);
    const chosen = (here.length > 0 ? here : all)
      .toSorted((a, b) => b.entry.started - a.entry.started)
      .slice(0, mostLaunches);
    return (await Promise.all(chosen.map((one) => linesOf(one, env)))).flat();
  } catch (error) {
    return [`the list of clusters could not be read: ${String(error)}`];
  }
}

async function linesOf({ entry, state, why }: Listed, env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const { name, started, ranks, hosts, code, script = "no script" } = entry;
  const ended = `${state}${why === undefined ? "" : `: ${why}`}${code === undefined ? "" : `, exit code ${code}`}`;
  const head = `${name}, ${new Date(started * 1000).toISOString()}, ${script}, ${ranks} ranks on ${hosts.join(", ")}: ${ended}`;
  const said: string[] = [];
  for (const folder of recordFolders(entry, env)) {
    const { lines } = await readRecord(folder);
    // What failed is in the first line of a message; its cause and cure are in the runbook.
    said.push(...lines.flatMap((line) => (line.k === "message" ? [line.text.split("\n", 1)[0] ?? ""] : [])));
  }
  const more = said.length - mostMessages;
  return [
    head,
    ...said.slice(0, mostMessages).map((text) => `  ${text}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].map(visibleLine);
}
