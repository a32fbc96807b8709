import { signalNumber } from "../../launcher/signals.ts";

/** The user ends a session before there is a cluster that it could leave: no failure, but not what was asked for. */
export class EndedByUser extends Error {
  readonly exitCode: number;

  /** `words` say what has come of it so far. */
  constructor(signal: NodeJS.Signals, words: string) {
    super(words);
    this.exitCode = 128 + signalNumber(signal);
  }
}
