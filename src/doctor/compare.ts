import type { Failure } from "../errors/failure.ts";
import type { World } from "../launcher/world.ts";
import type { Channel } from "../protocol/channel.ts";
import type { FromLeader, ToLeader } from "../protocol/messages.ts";
import { fine, foretold, message, type HostReport, type Row } from "./row.ts";

export interface Unreachable {
  readonly host: string;
  readonly problem: string;
}

/** What a host has seen, and where the others may try to connect to it (`host:port`). */
export interface Findings extends HostReport {
  readonly addresses: readonly string[];
  readonly unreachable: Unreachable[];
}

/** A host that has met rank 0: first it tells its findings, then what came of trying the others. */
export interface Met {
  readonly channel: Channel<ToLeader, FromLeader>;
  readonly host: string;
  readonly rank: number;
  readonly clock: Failure | undefined;
  readonly heard: [Findings?, { readonly unreachable: readonly Unreachable[]; readonly shared: boolean }?];
}

/** The reports of all hosts, with the rows that only show when hosts are compared; pure. */
export function compareRows({
  zero,
  met,
  world,
  rows,
  pmi,
}: {
  readonly zero: Findings;
  readonly met: readonly Met[];
  readonly world: World;
  readonly rows: readonly Row[];
  /** They met through the launcher's key-value store. */
  readonly pmi: boolean;
}): readonly HostReport[] {
  const here = [zero, ...met.flatMap(({ heard }) => heard[0] ?? [])].reduce((sum, { ranks }) => sum + ranks, 0);
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
      : [missingRow(missing, world.size)];
  const mine: HostReport = {
    host: zero.host,
    ranks: zero.ranks,
    rows: [...zero.rows, ...rows, ...meeting, ...reachRows(zero.host, zero.unreachable)],
  };
  return [mine, ...met.flatMap((one) => reportOf(one, pmi))];
}

function reportOf({ host, clock, heard: [findings, reach] }: Met, pmi: boolean): HostReport[] {
  if (findings === undefined) return [];
  const rows = [
    ...findings.rows,
    clock === undefined ? fine("hosts", "clock", "agrees with rank 0's host") : foretold("hosts", "clock", clock),
    ...reachRows(host, reach?.unreachable ?? []),
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

function missingRow(missing: number, size: number): Row {
  return {
    group: "hosts",
    name: "meeting",
    state: "error",
    text: `the hosts of ${missing} of ${size} ranks did not report`,
    cause:
      "Their host cannot connect to rank 0's, does not see the working folder, or tsdask-mpi does not start there (see their lines).",
    cure: "`mpirun -np 1 --host <that host> tsdask-mpi doctor` looks at one alone; --interface names the network that the hosts share.",
    code: "TSD-034",
  };
}
