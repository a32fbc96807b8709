"""
What opens Dask's pages besides the token, and what shows that they are the launch's: for the gate before them
(token_gate.py) and for Jupyter, which shows them and loads nothing of Dask for it (jupyter_pages.py).
"""

from __future__ import annotations

import hashlib
import hmac
import re

# Whoever is about to show what opens the pages may ask for a proof first.
PROOF_FOLDER = "/tsdask-proof/"
PROOF = re.compile(re.escape(PROOF_FOLDER) + r"([0-9a-f]{32,64})")


def cookie_of(token: str, secure: bool = False) -> tuple[str, str]:
    """
    Return the cookie's name (another one for each launch: browsers share cookies between ports) and its value, which is
    not the token.

    Over TLS the name says that the host itself has set it, for all of its paths (RFC 6265bis, section 4.1.3.2).
    """
    name = hashlib.sha256(b"tsdask-mpi cookie name " + token.encode()).hexdigest()[:12]
    value = hmac.new(token.encode(), b"tsdask-mpi cookie", hashlib.sha256).hexdigest()
    return f"{'__Host-' if secure else ''}tsdask-{name}", value


def proof_of(token: str, host: str, port: int, nonce: str) -> str:
    """
    Return what shows whoever sends a nonce that this address is one of the launch's: without the token it cannot be
    made, and what another address says is no proof for this one.
    """
    plain = host.partition("%")[0].lower().removeprefix("::ffff:")
    return hmac.new(token.encode(), f"tsdask-mpi pages {plain} {port} {nonce}".encode(), hashlib.sha256).hexdigest()
