"""
Random lines for the fork server's wire: `wire.py SEED RUNS` ends with 0 when none makes it fail otherwise than by
Malformed or a named fault.
"""

import json
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))

from tsdask_mpi.requests import fault_of
from tsdask_mpi.wire import LineBuffer, Malformed, decode, encode

LIMIT = 4096
FORK = {"op": "fork", "id": "x", "kind": "worker", "env": {"A": "b"}, "cwd": "/", "params": {}, "sys_path": ["/"]}
WORDS = [
    "fork",
    "stdio",
    "watch",
    "worker",
    "scheduler",
    "op",
    "id",
    "kind",
    "env",
    "pid",
    "params",
    "\0",
    "",
    "é",
    "\ud800",
    "x" * 300,
]


def value(chance, depth=0):
    """Return a random JSON value."""
    pick = chance.randrange(9 if depth < 4 else 6)
    if pick < 2:
        return chance.choice(WORDS)
    if pick == 2:
        return chance.choice([0, 1, -1, 2**70, 1.5, float("inf")])
    if pick < 6:
        return chance.choice([None, True, False])
    if pick == 6:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(WORDS): value(chance, depth + 1) for _ in range(chance.randrange(4))}


def line(chance):
    """Return the bytes of a line, nearly right or not at all."""
    pick = chance.randrange(4)
    if pick == 0:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(60)))
    if pick == 1:
        return json.dumps(value(chance)).encode("utf-8", "surrogatepass")
    changed = {**FORK, chance.choice(WORDS): value(chance)}
    text = json.dumps(changed).encode()
    return text[: chance.randrange(len(text))] if pick == 2 else text


def one(chance):
    """Feed some lines in pieces to the buffer, and look at each."""
    data = b"\n".join(line(chance) for _ in range(chance.randrange(1, 8))) + chance.choice([b"", b"\n"])
    buffer = LineBuffer(LIMIT)
    at = 0
    got = []
    while at < len(data):
        size = chance.randrange(1, 200)
        piece = data[at : at + size]
        at += size
        try:
            got += buffer.feed(piece)
        except Malformed:
            return
        assert buffer.held <= LIMIT, "more is held than a line"
    assert b"\n".join([*got, buffer.rest()]) == data, "bytes were lost"
    for each in got:
        try:
            message = decode(each)
        except Malformed:
            continue
        fault = fault_of(message)
        assert fault is None or isinstance(fault, str)
        assert b"\n" not in encode(message)[:-1]


def examples():
    """Look at what is kept because it was, or could be, a defect."""
    for text in [
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"1" * 10_000,
        b'{"op":["fork"]}',
        b'{"op":"fork","id":"x","kind":{}}',
        b'{"op":"watch","pid":true}',
        b"\xff",
        b"",
    ]:
        try:
            fault_of(decode(text))
        except Malformed:
            continue


def main():
    """Run."""
    seed, runs = int(sys.argv[1]), int(sys.argv[2])
    examples()
    for run in range(runs):
        # The processor's time: others may have it meanwhile.
        started = time.process_time()
        try:
            one(random.Random(seed + run))
        except Exception:
            print(f"seed {seed + run} fails: wire.py {seed + run} 1", file=sys.stderr)
            raise
        assert time.process_time() - started < 2, f"seed {seed + run} is slow"
    print("held", runs)


main()
