"""How numerical libraries share the cores, said before they are loaded."""

from __future__ import annotations

import os


def limit_blas_threads() -> None:
    """Settings for commands that answer queries, whose products are small.

    OpenBLAS shares each product of numpy among threads that wait for the next one by spinning: a
    query by words then takes a service four times the processor time, and clients that ask at once
    slow each other down. So it gets one thread. Those of FAISS and torch wait asleep. Whoever has
    set the variables knows better.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
