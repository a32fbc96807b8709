import { describe, expect, it } from "vitest";
import { readNotebook } from "../../src/config/notebook-options.ts";
import { Failure } from "../../src/errors/failure.ts";

const read = (words: string) => readNotebook(words.split(" "), "/w");

const refusal = (words: string): string => {
  try {
    read(words);
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  }
  return "nothing";
};

describe("a notebook's words", () => {
  it("name it alone, and it is saved beside itself", () => {
    expect(read("dir/a.b.ipynb")).toEqual({
      notebook: "/w/dir/a.b.ipynb",
      output: "/w/dir/a.b.out.ipynb",
      inPlace: false,
      parameters: [],
      raw: [],
      kernel: undefined,
      allowErrors: false,
    });
  });

  it("name another place, or itself", () => {
    for (const words of ["n.ipynb --output o/x.ipynb", "n.ipynb --output=o/x.ipynb", "n.ipynb -o o/x.ipynb"])
      expect(read(words).output).toBe("/w/o/x.ipynb");
    expect(read("n.ipynb --in-place")).toMatchObject({ output: "/w/n.ipynb", inPlace: true });
  });

  it("give parameters, whose values may look like options", () => {
    expect(read("n.ipynb -p a 1 --parameters b=c -x -r c 007 -p d -1 --parameter e True")).toMatchObject({
      parameters: [
        ["a", "1"],
        ["b=c", "-x"],
        ["d", "-1"],
        ["e", "True"],
      ],
      raw: [["c", "007"]],
    });
  });

  it("choose a kernel, and to go on after errors", () => {
    expect(read("n.ipynb --kernel other --allow-errors")).toMatchObject({ kernel: "other", allowErrors: true });
    expect(read("n.ipynb -k other").kernel).toBe("other");
  });

  it.each([
    ["n.ipynb -p", "TSD-008 -p has no value"],
    ["n.ipynb -p a", "TSD-008 -p a has no value"],
    ["n.ipynb --output", "TSD-008 --output has no value"],
    ["n.ipynb --output --in-place", "TSD-008 --output has no value"],
    ["n.ipynb --output=", "TSD-008 --output has no value"],
    ["n.ipynb --in-place=yes", "takes no value"],
    ["n.ipynb --output x --in-place", "TSD-007 --output and --in-place"],
    ["n.ipynb --outptu x", "Did you mean --output?"],
    ["n.ipynb --np 4", "come before the notebook's name"],
    ["n.ipynb other.ipynb", "other.ipynb is none of the options"],
    ["n.ipynb constructor", "constructor is none of the options"],
  ])("are refused: %s", (words, part) => {
    expect(refusal(words)).toContain(part);
  });
});
