import { describe, expect, it } from "vitest";
import { Failure } from "../../src/errors/failure.ts";
import { visible, visibleLine } from "../../src/errors/visible.ts";

describe("text from a file or a peer", () => {
  it("steers no terminal: C0, DEL and C1 controls and turned text are shown as what they are", () => {
    expect(visible("a\u001b[2Jb\u009b31mc\u007f\r\u202ed\u2066")).toBe(
      String.raw`a\u001b[2Jb\u009b31mc\u007f\u000d\u202ed\u2066`,
    );
  });

  it("keeps letters of every script, and lines where lines are meant", () => {
    expect(visible("Grüße, мир\t世界\n")).toBe("Grüße, мир\t世界\n");
    expect(visibleLine("a\nb\tc")).toBe(String.raw`a\nb\tc`);
  });

  it("is shown so in every message", () => {
    expect(new Failure("TSD-023", { path: "/x\u001b]0;y\u0007", problem: "z" }).message).toContain(
      String.raw`/x\u001b]0;y\u0007 cannot`,
    );
  });
});
