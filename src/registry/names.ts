/** Words that are short, easy to say and to spell, and not easily taken for one another. */
const qualities =
  "able amber bold brave brisk bright calm clear cool coral crisp dapper eager early fair fleet fond fresh gentle glad golden grand happy hardy jolly keen kind lively loyal lucky mellow merry mild neat nimble noble proud quick quiet rapid ready royal ruby sharp silent silver smart snowy solid sunny swift tidy tiny vivid warm wise witty young zesty".split(
    " ",
  );
const animals =
  "badger bear beaver bison camel cat cobra condor crane crow deer dingo dove eagle falcon ferret finch fox gecko goose hare hawk heron horse ibis jackal jaguar koala lemur lion lizard llama lynx marten mole moose newt otter owl panda parrot pelican pony puffin puma rabbit raven robin salmon seal shark sparrow squid stork swan tapir tiger toucan trout turtle walrus whale wolf wombat zebra".split(
    " ",
  );

/**
 * A name that can be said aloud (`calm-otter`), the same for the same launch. Names of different launches may be the
 * same, rarely. Pure.
 */
export function madeName(launch: string): string {
  let value = 0x811c9dc5;
  for (const letter of launch) value = Math.imul(value ^ letter.charCodeAt(0), 0x01000193) >>> 0;
  value = (value ^ (value >>> 15)) >>> 0;
  return `${qualities[value % qualities.length]}-${animals[Math.floor(value / qualities.length) % animals.length]}`;
}

/** A cluster below the domain of a proxy that knows it by its name. */
export interface PublicName {
  readonly name: string;
  readonly port: number;
}

/**
 * The name of a cluster below a proxy's domain: names of hosts have no underscore and no capitals (RFC 1123, 2.1).
 * Pure.
 */
export function publicName(
  {
    clusterName,
    sniDomain,
  }: {
    readonly clusterName: string | undefined;
    readonly sniDomain: { readonly domain: string; readonly port: number } | undefined;
  },
  launch: string,
): PublicName | undefined {
  if (sniDomain === undefined) return undefined;
  const label = (clusterName ?? madeName(launch))
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 63);
  return { name: `${label}.${sniDomain.domain}`, port: sniDomain.port };
}
