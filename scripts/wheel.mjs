// Makes the wheel and the sdist of the version in package.json; the same sources make the same bytes.
// Usage: node scripts/wheel.mjs [--out FOLDER]        (default: packages/)
import { build, outFolder, run, python } from "./lib/pack.mjs";

const folder = outFolder("packages");
build();
for (const kind of ["wheel", "sdist"]) run(python(), "-I", "packaging/backend.py", kind, folder);
