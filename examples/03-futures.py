"""Futures: work that is not known beforehand.

Integrates sqrt(x) from 0 to 1 in pieces. A piece that is not yet exact enough is split in two and submitted again, as
soon as its result is in: most of the work gathers near 0, where the function is steep, and whichever worker is free
takes the next piece.
"""

import math

from dask.distributed import Client, as_completed

TOLERANCE = 1e-12


def piece(low, high):
    """The integral from low to high by Simpson's rule, and how far it is from the same rule on both halves."""

    def simpson(a, b):
        return (b - a) / 6 * (math.sqrt(a) + 4 * math.sqrt((a + b) / 2) + math.sqrt(b))

    middle = (low + high) / 2
    fine = simpson(low, middle) + simpson(middle, high)
    return low, high, fine, abs(fine - simpson(low, high))


def main():
    client = Client()
    running = as_completed(client.map(piece, [i / 8 for i in range(8)], [(i + 1) / 8 for i in range(8)]))
    total = 0.0
    pieces = 0
    for future in running:
        low, high, value, error = future.result()
        pieces += 1
        if error <= TOLERANCE:
            total += value
            continue
        middle = (low + high) / 2
        running.add(client.submit(piece, low, middle))
        running.add(client.submit(piece, middle, high))

    print(f"integral {total:.10f} from {pieces} pieces")
    assert pieces > 100, "nothing was refined"
    assert abs(total - 2 / 3) < 1e-9, f"expected 2/3, got {total}"
    client.close()


if __name__ == "__main__":
    main()
