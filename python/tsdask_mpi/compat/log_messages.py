"""
What Dask writes in its log, its warnings and its exceptions, and Python in those of an import, where only the text
tells one thing from another.

Relies on (a text that is no longer there costs a clearer word or a quieter log, and nothing else):
- distributed/worker.py Worker.heartbeat() logs "… during heartbeat" with a traceback for any OSError, and get_data()
  "failed during get data with …" when whoever asked for the data is gone.
- distributed/scheduler.py Scheduler.send_all() and report() log "Closed comm … while trying to write …" with a
  traceback for a client that is gone.
- distributed/comm/tcp.py TLSListener warns "Listener on …: TLS handshake failed with remote …".
- distributed/security.py raises RuntimeError "encryption required by Dask configuration …".
- dask/config.py raises ValueError "A dask config file at '…' is malformed …", with PyYAML's own words after the first
  line: the problem, then a line that begins with `in "` and has "line N"; its Python part also shows the place, with
  `^` under it.
- distributed/node.py warns "Port … is already in use".
- dlopen(3) of glibc, in an ImportError: "cannot open shared object file", "undefined symbol: …", "version `…' not
  found", and the name of a library.
- distributed/worker.py _register_with_scheduler() raises ValueError "Unexpected response from register: …".
- distributed/preloading.py is the file whose frames a preload's exception passes. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

import itertools
import re

from tsdask_mpi.compat.names import written_in

LOST_HEARTBEAT = "during heartbeat"
LOST_ASKER = "failed during get data"
LOST_CLIENT = "while trying to write"
REFUSED_TLS = "TLS handshake failed"
ENCRYPTION_REQUIRED = "encryption required"
MALFORMED_YAML = "is malformed"
REFUSED_WORKER = "Unexpected response from register"
PORT_TAKEN = r"\s*Port \d+ is already in use"
LIBRARY = re.compile(r"shared object|undefined symbol|version `|\.so\b")
PRELOADING_FILE = "distributed/preloading.py"


def malformed_file(text: str) -> str | None:
    """
    Return which of Dask's configuration files cannot be read, its line and the problem; None where the text is about
    something else.
    """
    found = re.search(r"config file at '(.+?)' is malformed", text)
    if found is None:
        return None
    line = re.search(r"line (\d+)", text)
    lines = [one.strip() for one in text.splitlines()[1:] if one.strip() and one.strip() != "^"]
    placed = [one for one, place in itertools.pairwise(lines) if place.startswith('in "')]
    problems = placed or [one for one in lines if not one.startswith('in "')]
    problem = problems[-1] if problems else "it is not YAML"
    return f"{found.group(1)}{f', line {line.group(1)}' if line else ''}: {problem}"


def probe() -> str | None:
    """Say which text is no longer there."""
    from distributed.comm import tcp
    from distributed.scheduler import Scheduler
    from distributed.worker import Worker

    for name, owner, text in (
        ("distributed.worker.Worker", Worker, LOST_HEARTBEAT),
        ("distributed.worker.Worker", Worker, LOST_ASKER),
        ("distributed.scheduler.Scheduler", Scheduler, LOST_CLIENT),
        ("distributed.comm.tcp.TLSListener", tcp.TLSListener, REFUSED_TLS),
        ("distributed.worker.Worker", Worker, REFUSED_WORKER),
    ):
        if not any(text in written for written in written_in(owner)):
            return f"the words {text!r} in {name}"
    return None
