"""How many threads numpy's matrix products get, said before numpy is loaded."""

from __future__ import annotations

import os


def one_for_products() -> None:
    """Let numpy multiply in one thread, for commands that answer queries.

    The products of a query are small. OpenBLAS shares each among threads that wait for the next
    one by spinning: a query by words then takes a service four times the processor time, and
    clients that ask at once slow each other down. Torch has threads of its own, for photos and
    sounds. Whoever has set the variable knows better.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
