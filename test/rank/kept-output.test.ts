import { expect, test } from "vitest";
import { keepOutput } from "../../src/rank/kept-output.ts";

function kept(): {
  readonly said: string[];
  readonly say: (text: string) => void;
  readonly wait: (seconds: number) => void;
} {
  const said: string[] = [];
  let time = 0;
  const take = keepOutput(
    ({ level, text }) => void said.push(`${level} ${text}`),
    () => time,
  );
  return { said, say: (text) => take(Buffer.from(text)), wait: (seconds) => void (time += seconds * 1000) };
}

test("lines keep the level that Dask's log names", () => {
  const { said, say } = kept();
  say("2026-01-31 12:00:00,123 - distributed.worker - WARNING - Unmanaged memory use is high");
  say("distributed.worker - ERROR - boom");
  say("printed by a task");
  say("  ");
  expect(said.map((line) => line.split(" ", 1)[0])).toEqual(["warn", "error", "info"]);
});

test("a child that says too much is cut short, and its number of lost lines told with the next one", () => {
  const { said, say, wait } = kept();
  for (let i = 0; i < 1000; i += 1) say(`line ${i}`);
  expect(said).toHaveLength(200);
  wait(1);
  say("later");
  expect(said.slice(200)).toEqual(["warn 800 lines were left out: there were too many at once", "info later"]);
});
