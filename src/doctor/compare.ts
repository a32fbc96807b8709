import type { Failure } from "../errors/failure.ts";
import type { World } from "../launcher/world.ts";
import type { Channel } from "../protocol/channel.ts";
import type { FromLeader, ToLeader } from "../protocol/messages.ts";
import { hostList } from "../ui/ranges.ts";
import { fine, foretold, message, type HostReport, type Row } from "./row.ts";

export interface Unreachable {
  readonly host: string;
  readonly problem: string;
}

/** What a host has seen, and where the others may try to connect to it (`host:port`). */
export interface Findings extends HostReport {
  readonly addresses: readonly string[];
  readonly unreachable: Unreachable[];
  readonly nameless: string[];
}

/** What came of a host's trying the others. */
export interface Reach {
  readonly unreachable: readonly Unreachable[];
  /** Hosts whose names lead nowhere there. */
  readonly nameless: readonly string[];
  /** It sees rank 0's file. */
  readonly shared: boolean;
}

/** A host that has met rank 0: first it tells its findings, then, asked for it, what came of trying the others. */
export interface Met {
  readonly channel: Channel<ToLeader, FromLeader>;
  readonly host: string;
  readonly rank: number;
  readonly clock: Failure | undefined;
  findings?: Findings;
  reach?: Reach;
}

/** The reports of all hosts, with the rows that only show when hosts are compared; pure. */
export function compareRows({
  zero,
  met,
  world,
  rows,
  pmi,
  byName,
}: {
  readonly zero: Findings;
  readonly met: readonly Met[];
  readonly world: World;
  readonly rows: readonly Row[];
  /** They met through the launcher's key-value store. */
  readonly pmi: boolean;
  /** Workers are told names, not addresses (--contact hostname). */
  readonly byName: boolean;
}): readonly HostReport[] {
  const here = [zero, ...met.flatMap(({ findings }) => findings ?? [])].reduce((sum, { ranks }) => sum + ranks, 0);
  const missing = world.size - here;
  const meeting: Row[] =
    missing <= 0
      ? [
          fine(
            "hosts",
            "meeting",
            `all ${world.size} ranks' hosts met${pmi ? " through the launcher's PMI" : ", by a file in the working folder"}`,
          ),
        ]
      : [
          missingRow(
            missing,
            world.size,
            met.filter(({ findings }) => findings === undefined).map(({ host }) => host),
          ),
        ];
  const mine: HostReport = {
    host: zero.host,
    ranks: zero.ranks,
    rows: [
      ...zero.rows,
      ...rows,
      ...meeting,
      ...reachRows(zero.host, zero.unreachable),
      nameRow(zero.nameless, byName),
    ],
  };
  return [mine, ...met.flatMap((one) => reportOf(one, pmi, byName))];
}

function reportOf({ host, clock, findings, reach }: Met, pmi: boolean, byName: boolean): HostReport[] {
  if (findings === undefined) return [];
  const rows = [
    ...findings.rows,
    clock === undefined ? fine("hosts", "clock", "agrees with rank 0's host") : foretold("hosts", "clock", clock),
    ...reachRows(host, reach?.unreachable ?? []),
    ...(reach === undefined ? [] : [nameRow(reach.nameless, byName)]),
  ];
  if (reach !== undefined)
    rows.push(
      reach.shared || pmi
        ? fine(
            "files",
            "shared folder",
            reach.shared
              ? "the working folder is rank 0's"
              : "another working folder than rank 0's: the ranks meet through PMI",
          )
        : message("files", "shared folder", "TSD-021", {
            rank: findings.host,
            host,
            folder: "the working folder",
            seconds: 0,
            filesystem: "unknown",
          }),
    );
  return [{ host, ranks: findings.ranks, rows }];
}

function reachRows(host: string, unreachable: readonly Unreachable[]): Row[] {
  if (unreachable.length === 0) return [fine("hosts", "ports", "it reaches the hosts that it tried")];
  return unreachable.map((other) => ({
    group: "hosts",
    name: `to ${other.host}`,
    state: "error",
    text: `${host} cannot connect to ${other.host} (${other.problem})`,
    cause:
      "A firewall between the hosts, or an address that only some of them can use. Workers connect to the scheduler and to each other.",
    cure: "Name the network that all share with --interface; ask the site whether compute nodes may connect to each other.",
    code: "TSD-165",
  }));
}

/** Whether a host knows the others by their names: needed only where names are told. */
function nameRow(nameless: readonly string[], needed: boolean): Row {
  if (nameless.length === 0) return fine("hosts", "names", "it knows the names of the hosts that it tried");
  const unknown = `it does not know the names ${hostList([...nameless])}`;
  if (!needed) return fine("hosts", "names", `${unknown}; addresses are used`);
  return {
    group: "hosts",
    name: "names",
    state: "error",
    text: `--contact hostname: ${unknown}`,
    cause: "The name service or /etc/hosts there does not know the other hosts of the job.",
    cure: "Leave --contact out, so that addresses are used; or have the site's name service know the hosts' names.",
    code: "TSD-064",
  };
}

function missingRow(missing: number, size: number, looking: readonly string[]): Row {
  const late = looking.length === 0 ? "" : `; ${hostList([...looking])} met, but had not looked at everything in time`;
  return {
    group: "hosts",
    name: "meeting",
    state: "error",
    text: `the hosts of ${missing} of ${size} ranks did not report${late}`,
    cause:
      "Their host is busy or hangs in a file system, cannot connect to rank 0's, does not see the working folder, or tsdask-mpi does not start there (see their lines).",
    cure: "`mpirun -np 1 --host <that host> tsdask-mpi doctor` looks at one alone; --interface names the network that the hosts share.",
    code: "TSD-034",
  };
}
