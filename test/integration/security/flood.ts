/**
 * Strangers who only hold connections open, as a program of its own: reads `{ host, port, connections, seconds }` on
 * stdin, keeps that many idle connections to the port, opening each anew a second after it was closed, says `holding`
 * once all were begun, and ends after that time.
 */
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";

export interface Flood {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** At most 60. */
  readonly seconds: number;
}

const flood = JSON.parse(await text(process.stdin)) as Flood;
const open = new Set<Socket>();
const until = performance.now() + Math.min(flood.seconds, 60) * 1000;
let closed = 0;

function hold(): void {
  if (performance.now() >= until) return;
  const socket = connect(flood.port, flood.host);
  open.add(socket);
  socket.on("error", () => socket.destroy());
  socket.once("close", () => {
    open.delete(socket);
    closed += 1;
    setTimeout(hold, 1_000);
  });
}

for (let count = 0; count < Math.min(flood.connections, 3_000); count += 1) hold();
setTimeout(() => process.stdout.write("holding\n"), 500);
setTimeout(() => {
  process.stdout.write(`closed ${closed}\n`);
  process.exit(0);
}, until - performance.now());
