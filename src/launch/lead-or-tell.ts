import { lineChannel } from "../control/channel.ts";
import type { FromMember, ToMember } from "../control/messages.ts";
import { deadlines } from "../deadlines.ts";
import { removeHostFolder } from "../host/election.ts";
import { failureText } from "../ui/failure-text.ts";
import type { Member } from "../rank/member.ts";
import { failureOf } from "./failure-of.ts";
import { lead, type LeadContext } from "./lead.ts";

/**
 * Leads this host. Where that fails before it has begun (a wrong option, an unwritable folder), says why once, on rank 0,
 * tells this host's other ranks so that none waits, and leaves with the failure's code.
 */
export async function leadOrTell(context: LeadContext): Promise<Member | undefined> {
  try {
    return await lead(context);
  } catch (error) {
    const failure = failureOf(error);
    if (context.world.rank === 0 || failure.exitCode !== 64) context.out.write(failureText(failure));
    let left = (context.world.localSize ?? 1) - 1;
    const leave = (): void => {
      context.door.close();
      removeHostFolder(context.paths);
      context.exit(failure.exitCode);
    };
    context.door.onConnection((socket) => {
      const channel = lineChannel<ToMember, FromMember>(socket, (value) => value as FromMember);
      channel.send({ t: "end", code: failure.exitCode, grace: 0 });
      channel.onClose(() => {
        left -= 1;
        if (left <= 0) leave();
      });
    });
    if (left <= 0) leave();
    else setTimeout(leave, deadlines.badUsage);
    return undefined;
  }
}
