import { Failure } from "../errors/failure.ts";
import { certificateReach } from "../security/certificates.ts";
import { durationText } from "../ui/format.ts";

/** Clocks that are kept by a time service differ by less than this (ms), a connection's way included. */
const usualDifference = 30_000;

/**
 * What the clock of a host means for a launch, `ahead` ms before (negative: behind) rank 0's: undefined when they
 * agree, TSD-153 as a warning, TSD-164 where the launch's certificates are not valid there.
 */
export function clockTrouble({
  host,
  zero,
  ahead,
  tls,
}: {
  readonly host: string;
  readonly zero: string;
  readonly ahead: number;
  readonly tls: boolean;
}): Failure | undefined {
  if (Math.abs(ahead) < usualDifference) return undefined;
  const facts = {
    host,
    zero,
    difference: durationText(Math.abs(ahead) / 1000),
    direction: ahead > 0 ? "ahead of" : "behind",
  };
  const valid = !tls || (-ahead < certificateReach.back && ahead < certificateReach.forth);
  return new Failure(valid ? "TSD-153" : "TSD-164", facts);
}
