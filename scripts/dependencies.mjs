// What the product is made of, from the lock file: docs/dependencies.md (written by scripts/docs.mjs) and the SBOM
// (written by scripts/build.mjs).

/**
 * Why each package that we chose ourselves is there. For npm they are dependencies of the build, as the bundle holds
 * them: what it packs is installed without a network.
 */
const reasons = {
  "@msgpack/msgpack": "Dask's wire is msgpack: `connect`, `scale` and `adapt` speak it.",
  "@peculiar/asn1-schema": "writes the DER of a launch's certificates; Node signs, but makes no certificates.",
  "@peculiar/asn1-x509": "the structures of X.509 (RFC 5280) for the launch's certificates.",
  "cli-progress": "the bar that shows how many workers are in.",
  "cli-table3": "the tables of `list`, `status` and their like.",
  commander: "the command line: options, subcommands, help.",
  execa: "runs the script and the batch systems' commands, with deadlines and signals.",
  pino: "the JSON log.",
  valibot: "checks each message and file that comes from elsewhere.",
  ws: "WebSockets: between the hosts' leaders and the hub.",
  yaml: "reads the configuration files and Dask's, writes Kubernetes' manifests.",
};

const nameOf = (path) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

/**
 * Every package that runs with the product, by its place in the lock file (version 3): the chosen ones and what they
 * need, sorted.
 */
export function runtimePackages(text) {
  const { packages } = JSON.parse(text);
  const found = new Map();
  const find = (name, from) => {
    for (let base = from; ; base = base.slice(0, Math.max(0, base.lastIndexOf("node_modules/") - 1))) {
      const path = `${base === "" ? "" : `${base}/`}node_modules/${name}`;
      if (Object.hasOwn(packages, path)) return path;
      if (base === "") throw new Error(`package-lock.json has no ${name}, which ${from || "the product"} needs`);
    }
  };
  const walk = (from, chain) => {
    const { dependencies, optionalDependencies } = from === "" ? { dependencies: reasons } : packages[from];
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const path = find(name, from);
      const entry = found.get(path) ?? { path, name: nameOf(path), ...packages[path], for: new Set() };
      const known = found.has(path);
      found.set(path, entry);
      const root = chain ?? name;
      if (known && entry.for.has(root)) continue;
      entry.for.add(root);
      walk(path, root);
    }
  };
  walk("", undefined);
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Throws when what is bundled (paths relative to the project's folder) has a package that is not told of, or one that
 * is told of is not bundled.
 */
export function checkBundled(text, inputs) {
  const told = new Set(runtimePackages(text).map(({ path }) => path));
  const place = /node_modules\/(?:.*node_modules\/)?(?:@[^/]+\/)?[^/]+(?=\/)/;
  const bundled = new Set(inputs.flatMap((path) => place.exec(path)?.[0] ?? []));
  const odd = [
    ...[...bundled].filter((path) => !told.has(path)),
    ...Object.keys(reasons).filter((name) => !bundled.has(`node_modules/${name}`)),
  ];
  if (odd.length > 0) throw new Error(`scripts/dependencies.mjs: its reasons and the bundle differ: ${odd.join(", ")}`);
}

/** docs/dependencies.md. */
export function dependenciesPage(text) {
  const chosen = Object.keys(reasons).sort();
  const all = runtimePackages(text);
  const by = (name) => all.find((entry) => entry.path === `node_modules/${name}`);
  const needed = all.filter(({ path, name }) => !(chosen.includes(name) && path === `node_modules/${name}`));
  return [
    "# What tsdask-mpi is made of",
    "",
    "Written by `node scripts/docs.mjs` from `package-lock.json`; a test keeps it fresh. All of it is bundled into `dist/` when it is built: a running launch opens nothing in",
    "`node_modules`. `dist/sbom.cdx.json` has the same list, with hashes, in CycloneDX. No package's own scripts are run when it is installed (`npm ci --ignore-scripts`), and a build of",
    "the same sources is the same byte for byte. `npm run advisories` asks npm's list of advisories about them, where it can be reached. The Python side needs nothing",
    "beyond what Dask itself brings.",
    "",
    "## Chosen",
    "",
    "| package | version | licence | why |",
    "|---|---|---|---|",
    ...chosen.map((name) => `| ${name} | ${by(name).version} | ${by(name).license ?? "?"} | ${reasons[name]} |`),
    "",
    "## Needed by those",
    "",
    "| package | version | licence | for |",
    "|---|---|---|---|",
    ...needed.map(
      (entry) => `| ${entry.name} | ${entry.version} | ${entry.license ?? "?"} | ${[...entry.for].sort().join(", ")} |`,
    ),
    "",
  ].join("\n");
}

/**
 * The software bill of materials, CycloneDX 1.6 in JSON (cyclonedx.org/docs/1.6/json), the same for the same lock file.
 */
export function sbom(text) {
  const { name, version, packages } = JSON.parse(text);
  const purl = (entry) => `pkg:npm/${entry.name.replace("@", "%40")}@${entry.version}`;
  const components = runtimePackages(text).map((entry) => ({
    type: "library",
    "bom-ref": purl(entry),
    name: entry.name,
    version: entry.version,
    ...hashOf(entry.integrity),
    licenses: [{ expression: entry.license ?? "NOASSERTION" }],
    purl: purl(entry),
  }));
  const root = `pkg:npm/${name}@${version}`;
  const bom = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": root,
        name,
        version,
        licenses: [{ expression: packages[""].license ?? "NOASSERTION" }],
        purl: root,
      },
    },
    components: components.filter((one, index) => components.findIndex((other) => other.purl === one.purl) === index),
  };
  return `${JSON.stringify(bom, undefined, 1)}\n`;
}

/** `sha512-<base64>`, as npm writes it, in hexadecimal. */
function hashOf(integrity) {
  const [, hash] = /^sha512-(\S+)$/.exec(integrity ?? "") ?? [];
  return hash === undefined
    ? {}
    : { hashes: [{ alg: "SHA-512", content: Buffer.from(hash, "base64").toString("hex") }] };
}
