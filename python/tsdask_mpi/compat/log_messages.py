"""What Dask writes in its log and in its exceptions, where only the text tells one thing from another.

Relies on (a text that is no longer there costs a clearer word or a quieter log, and nothing else):
- distributed/worker.py Worker.heartbeat() logs "… during heartbeat" with a traceback for any OSError.
- distributed/comm/tcp.py TLSListener warns "Listener on …: TLS handshake failed with remote …".
- distributed/security.py raises RuntimeError "encryption required by Dask configuration …".
- dask/config.py raises ValueError "A dask config file at … is malformed".
- distributed/worker.py _register_with_scheduler() raises ValueError "Unexpected response from register: …".
- distributed/preloading.py is the file whose frames a preload's exception passes. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

from tsdask_mpi.compat.names import written_in

LOST_HEARTBEAT = "during heartbeat"
REFUSED_TLS = "TLS handshake failed"
ENCRYPTION_REQUIRED = "encryption required"
MALFORMED_YAML = "is malformed"
REFUSED_WORKER = "Unexpected response from register"
PRELOADING_FILE = "distributed/preloading.py"


def probe() -> str | None:
    """Say which text is no longer there."""
    from distributed.comm import tcp
    from distributed.worker import Worker

    for name, owner, text in (
        ("distributed.worker.Worker", Worker, LOST_HEARTBEAT),
        ("distributed.comm.tcp.TLSListener", tcp.TLSListener, REFUSED_TLS),
        ("distributed.worker.Worker", Worker, REFUSED_WORKER),
    ):
        if not any(text in written for written in written_in(owner)):
            return f"the words {text!r} in {name}"
    return None
