/** Where a command writes: standard output or error, or a test's ear. */
export interface TextSink {
  write(text: string): unknown;
  readonly columns?: number;
}

/** What a command reads and writes besides its words. */
export interface CommandContext {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
}
