/** Ends a host without a word: rank 0 has said why, and the launch ends with this code. */
export class ToldElsewhere extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("rank 0 has said why");
    this.name = "ToldElsewhere";
    this.exitCode = exitCode;
  }
}
