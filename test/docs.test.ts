import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const pages = globSync(["*.md", "docs/**/*.md", "examples/*.md", "bench/*.md", "scripts/**/*.md"], {
  cwd: root,
}).sort();

describe.each(pages)("%s", (page) => {
  const text = readFileSync(join(root, page), "utf8");
  const prose = text.replace(/```[\s\S]*?```/g, "").replace(/`[^`\n]*`/g, "");

  test("links only to what is there", () => {
    const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
    const broken = links.filter(
      (link) => !/^(https?:|#)/.test(link) && !existsSync(join(root, dirname(page), link.split("#")[0] ?? "")),
    );
    expect(broken).toEqual([]);
  });

  test("has one title, and no line that waits to be written", () => {
    expect(prose.match(/^# .+/gm)).toHaveLength(1);
    expect(text).not.toMatch(/\b(TODO|FIXME|TBD|XXX|lorem ipsum)\b|<placeholder>/i);
  });
});

test("the index of the documentation lists every page", () => {
  const index = readFileSync(join(root, "docs", "README.md"), "utf8");
  const unlisted = pages.filter(
    (page) =>
      page.startsWith("docs/") && page !== "docs/README.md" && !index.includes(`](${page.slice("docs/".length)})`),
  );
  expect(unlisted).toEqual([]);
});

test("nobody is told to install by its name what no registry has: the name would be whoever takes it first", () => {
  const others = globSync(["src/**/*.ts", "python/**/*.py", "packaging/**/*.*", "bin/*"], { cwd: root });
  const byName = /\b(install|add|npx|uvx) [^`\n]*?(?<=[ '"])tsdask[-_]mpi(?=[\s'"`[=<>)@]|$)|\bpypi *=/gm;
  const commands = [...pages, ...others].flatMap((file) =>
    (readFileSync(join(root, file), "utf8").match(/`[^`\n]+`|^ *\w+ *= .*$/gm) ?? [])
      .flatMap((text) => text.match(byName) ?? [])
      .map((command) => `${file}: ${command}`),
  );
  expect(commands).toEqual([]);
});
