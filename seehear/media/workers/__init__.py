"""Decode files in worker processes that can do nothing else.

    pool.py           a few workers, lent to one caller at a time; single requests
    decode_all.py     many files, in order, for the indexer
    process.py        one worker, seen from the process that started it
    protocol.py       the messages between the two
    sample_buffer.py  the samples of one file on their way to the caller
    worker.py         what runs in the worker
    sandbox.py        what is taken from the worker before it sees a file

No other part of seehear decodes a file in a process that holds anything of value.
"""

from __future__ import annotations
