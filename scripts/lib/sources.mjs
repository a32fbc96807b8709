// What dist/ is built from, told from its bytes: an archive and a copy may keep no times.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const sha256 = (content) => createHash("sha256").update(content).digest("hex");

/** The digest of the names and the content of all files in src/; `_sources` in packaging/backend.py is the same. */
export function sourcesDigest(root) {
  const names = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
  return sha256(
    names
      .sort()
      .map((name) => `${name} ${sha256(readFileSync(join(root, name)))}\n`)
      .join(""),
  );
}
