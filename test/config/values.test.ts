import { describe, expect, test } from "vitest";
import {
  BadValue,
  choice,
  daskAddress,
  duration,
  flag,
  integer,
  list,
  listenPoint,
  memoryLimit,
  object,
  parseBytes,
  parseDuration,
  path,
  ports,
  preloads,
  program,
  resources,
  show,
  splitWords,
  text,
  type ReadContext,
} from "../../src/config/values.ts";

const here: ReadContext = {
  cwd: "/data/here",
  home: "/home/ada",
  env: { SCRATCH: "/scratch/ada", EMPTY: "" },
  variables: false,
};
const inFile: ReadContext = { ...here, variables: true };

describe("durations", () => {
  test.each([
    ["30", 30],
    ["0.5", 0.5],
    ["30s", 30],
    ["500ms", 0.5],
    ["5m", 300],
    ["5 min", 300],
    ["1h30m", 5400],
    ["1H 30M", 5400],
    ["2 days", 172_800],
    ["01:30:00", 5400],
    ["100:00:00", 360_000],
    ["1-12:00:00", 129_600],
  ])("%s is %d seconds", (value, seconds) => {
    expect(parseDuration(value)).toBe(seconds);
  });

  test.each(["", "-5", "5x", "s", "1h 30", "h1", "1:2:3:4", "12:99:00", "1e3", "Infinity", "5m;", "٣٠", "1 __proto__"])(
    "%j is refused",
    (value) => {
      expect(() => duration(0)(value, here)).toThrow(BadValue);
    },
  );

  test("hours and minutes that could be minutes and seconds are refused, not guessed", () => {
    expect(() => duration(0)("10:30", here)).toThrow(/could be hours and minutes/);
  });

  test("a duration that must pass cannot be zero", () => {
    expect(() => duration("positive")("0s", here)).toThrow(/longer than 0/);
    expect(duration(0)("0", here)).toBe(0);
  });

  test("centuries are refused", () => {
    expect(() => duration(0)("99999999999", here)).toThrow(/too long/);
  });
});

describe("sizes", () => {
  test.each([
    ["1000", 1000],
    ["4GB", 4e9],
    ["4 GB", 4e9],
    ["4gib", 4 * 2 ** 30],
    ["4Gi", 4 * 2 ** 30],
    ["4G", 4e9],
    ["1.5kB", 1500],
    ["5e9", 5e9],
    ["10B", 10],
  ])("%s is %d bytes", (value, bytes) => {
    expect(parseBytes(value)).toBe(bytes);
  });

  test.each(["GB", "4XB", "-4GB", "4iB", "4 G B", "1e99GB", "4GB4GB", "0x10"])("%j is refused", (value) => {
    expect(() => parseBytes(value)).toThrow(BadValue);
  });

  test.each([
    ["auto", { kind: "auto" }],
    ["AUTO", { kind: "auto" }],
    ["0", { kind: "none" }],
    ["0.0", { kind: "none" }],
    ["none", { kind: "none" }],
    [0.25, { kind: "fraction", fraction: 0.25 }],
    [".5", { kind: "fraction", fraction: 0.5 }],
    ["1", { kind: "fraction", fraction: 1 }],
    ["2", { kind: "bytes", bytes: 2 }],
    ["4GiB", { kind: "bytes", bytes: 2 ** 32 }],
    ["0GB", { kind: "none" }],
  ])("the memory limit %j is %j", (value, limit) => {
    expect(memoryLimit(value, here)).toEqual(limit);
  });
});

describe("numbers, words and lists", () => {
  test("whole numbers stay in their range", () => {
    expect(integer(1, 10)(" 7 ", here)).toBe(7);
    for (const value of ["0", "11", "1.5", "seven", "1e1", "0x3", "9".repeat(400)])
      expect(() => integer(1, 10)(value, here)).toThrow(BadValue);
  });

  test("yes and no are read as YAML, shells and people write them", () => {
    for (const value of [true, "true", "Yes", "on", "1"]) expect(flag(value, here)).toBe(true);
    for (const value of [false, "FALSE", "no", "off", 0]) expect(flag(value, here)).toBe(false);
    expect(() => flag("maybe", here)).toThrow(BadValue);
  });

  test("choices ignore case, know their aliases, and no property of objects", () => {
    expect(choice(["tls", "none"])("TLS", here)).toBe("tls");
    expect(choice(["warning"], { warn: "warning" })("warn", here)).toBe("warning");
    expect(() => choice(["tls"])("constructor", here)).toThrow(/must be one of tls/);
  });

  test("lists come with commas, blanks, repetition or as YAML", () => {
    const modules = list("a module", /^[a-z.]+$/);
    expect(modules("numpy,pandas", here)).toEqual(["numpy", "pandas"]);
    expect(modules(["numpy, pandas", "dask.array", "numpy"], here)).toEqual(["numpy", "pandas", "dask.array"]);
    expect(() => modules("os;rm", here)).toThrow(/os;rm/);
    expect(() => modules([["numpy"]], here)).toThrow(BadValue);
  });

  test("a preload keeps its arguments, quoted as in a shell", () => {
    expect(preloads(["a.py --x 1", "'my mod.py' \"b c\" d\\ e"], here)).toEqual([
      ["a.py", "--x", "1"],
      ["my mod.py", "b c", "d e"],
    ]);
    expect(preloads([["mod", "--flag"]], here)).toEqual([["mod", "--flag"]]);
    expect(() => splitWords("a 'open")).toThrow(/open quote/);
  });

  test("splitting a long hostile line takes no time", () => {
    expect(splitWords("a ".repeat(50_000)).length).toBe(50_000);
    expect(() => splitWords(`${"\\ ".repeat(50_000)}'`)).toThrow(BadValue);
  });

  test("JSON objects are taken, anything else is refused with a way to write them", () => {
    expect(object('{"nthreads": 2}', here)).toEqual({ nthreads: 2 });
    expect(object({ a: 1 }, here)).toEqual({ a: 1 });
    for (const value of ["[1]", "3", "null", "{'a': 1}", "{", ["x"], '"x"'])
      expect(() => object(value, here)).toThrow(BadValue);
    const hostile = object('{"__proto__": {"polluted": true}}', here);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.keys(hostile)).toEqual(["__proto__"]);
  });

  test("resources are numbers by name", () => {
    expect(resources("GPU=2 MEM=10e9", here)).toEqual({ GPU: 2, MEM: 1e10 });
    expect(resources(["GPU=2", "MEM=1,DISK=3"], here)).toEqual({ GPU: 2, MEM: 1, DISK: 3 });
    expect(resources({ GPU: 1 }, here)).toEqual({ GPU: 1 });
    for (const value of ["GPU", "GPU=", "=2", "GPU=two", "GPU=-1", "GPU=Infinity"])
      expect(() => resources(value, here)).toThrow(BadValue);
  });
});

describe("ports and addresses", () => {
  test("a port, a range, or any", () => {
    expect(ports("3000", here)).toEqual({ first: 3000, last: 3000 });
    expect(ports("3000:3026", here)).toEqual({ first: 3000, last: 3026 });
    expect(ports("3000-3026", here)).toEqual({ first: 3000, last: 3026 });
    expect(ports("0", here)).toBeUndefined();
    for (const value of ["3026:3000", "70000", "0:5", "a", "1:2:3", "-1"])
      expect(() => ports(value, here)).toThrow(BadValue);
  });

  test("where a dashboard listens", () => {
    expect(listenPoint("8787", here)).toBe(":8787");
    expect(listenPoint(":0", here)).toBe(":0");
    expect(listenPoint("node1.example:8787", here)).toBe("node1.example:8787");
    expect(listenPoint("[::1]:8787", here)).toBe("[::1]:8787");
    for (const value of ["http://x:1", ":70000", "x", "a b:1", "8787; ls"])
      expect(() => listenPoint(value, here)).toThrow(BadValue);
  });

  test("Dask's addresses", () => {
    const address = daskAddress("required");
    expect(address("TLS://Node1:8786", here)).toBe("tls://Node1:8786");
    expect(address("tcp://[fe80::1]:8786", here)).toBe("tcp://[fe80::1]:8786");
    for (const value of [
      "http://h:80",
      "tcp://h",
      "tcp://:8786",
      "tcp://h:0",
      "tcp://h:99999",
      "tcp://h:1/x",
      "tcp://a b:1",
      "h:1",
    ]) {
      expect(() => address(value, here)).toThrow(BadValue);
    }
    expect(daskAddress("optional")("tcp://:9000", here)).toBe("tcp://:9000");
  });
});

describe("paths", () => {
  test("are absolute, from the working folder or home", () => {
    expect(path("a/b", here)).toBe("/data/here/a/b");
    expect(path("/a/../b", here)).toBe("/b");
    expect(path("~/a", here)).toBe("/home/ada/a");
    expect(path("~", here)).toBe("/home/ada");
  });

  test("name variables in files only", () => {
    expect(path("${SCRATCH}/dask", inFile)).toBe("/scratch/ada/dask");
    expect(path("$SCRATCH", inFile)).toBe("/scratch/ada");
    expect(path("$SCRATCH", here)).toBe("/data/here/$SCRATCH");
    expect(() => path("$EMPTY/x", inFile)).toThrow(/EMPTY, which is not set/);
    expect(() => path("$NONE/x", inFile)).toThrow(/NONE, which is not set/);
  });
  test("keep the name of a variable that is not set, where that is noted", () => {
    const unset: string[] = [];
    const noting = { ...inFile, unset: (name: string) => void unset.push(name) };
    expect(path("${NONE}/x", noting)).toBe("${NONE}/x");
    expect(path("x/$NONE", noting)).toBe("/data/here/x/$NONE");
    expect(program("$NONE/bin/python", noting)).toBe("$NONE/bin/python");
    expect(unset).toEqual(["NONE", "NONE", "NONE"]);
  });

  test("of programs stay bare names when they are", () => {
    expect(program("python3.12", here)).toBe("python3.12");
    expect(program("venv/bin/python", here)).toBe("/data/here/venv/bin/python");
    expect(program("~/venv/bin/python", here)).toBe("/home/ada/venv/bin/python");
  });

  test("hold no NUL", () => {
    expect(() => path("/a\0b", here)).toThrow(/NUL/);
    expect(() => path("  ", here)).toThrow(/no value/);
  });
});

describe("what is shown of a value", () => {
  test("is one short line without control characters", () => {
    expect(show("a\u001b[31mb\nc\u202e")).toBe("a\\u001b[31mb\\u000ac\\u202e");
    expect(show("x".repeat(500))).toHaveLength(80);
    expect(show({ a: 1 })).toBe('{"a":1}');
    expect(show(undefined)).toBe("undefined");
  });

  test("text with control characters is refused", () => {
    expect(() => text("a name")("a\u0007b", here)).toThrow(BadValue);
  });
});
