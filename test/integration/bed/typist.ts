import { command, type Command } from "./command.ts";
import { python } from "./pythons.ts";

/**
 * Runs its command on a terminal of its own, 101 columns wide, and types: each of its steps waits for a text that is
 * new on the terminal, then for some seconds, and types its keys. Ends as the command does.
 */
const typist = `
import fcntl, json, os, pty, struct, sys, termios, threading, time

steps = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
said = ""

def type_all():
    seen = 0
    for text, pause, keys in steps:
        while text not in said[seen:]:
            time.sleep(0.02)
        seen = said.index(text, seen) + len(text)
        time.sleep(pause)
        os.write(terminal, keys.encode())

threading.Thread(target=type_all, daemon=True).start()
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    text = data.decode(errors="replace")
    said += text
    sys.stdout.write(text)
    sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** A text that is waited for, seconds, and the keys that are typed then. */
export type Step = readonly [text: string, pause: number, keys: string];

/** The command on a terminal of its own, at which somebody types; what the terminal shows is its stdout. */
export const typing = (steps: readonly Step[], { file, args, env }: Command): Command => ({
  ...command(python().path, "-c", typist, JSON.stringify(steps), file, ...args),
  env,
});
