"""Silence the decoders: their warnings are not for the people who use seehear."""

from __future__ import annotations

import functools
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_restore: warnings.catch_warnings[None] | None = None


@contextmanager
def mute() -> Iterator[None]:
    """Suppress all Python warnings in this block.

    The warning filters belong to the whole process, so the first thread that enters sets them and
    the last one that leaves restores them; any other order would leave them changed for good.
    """
    global _inside, _restore  # noqa: PLW0603 the filters are global, too
    with _lock:
        if _inside == 0:
            _restore = warnings.catch_warnings()
            _restore.__enter__()
            warnings.simplefilter("ignore")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _restore is not None:
                _restore.__exit__(None, None, None)
                _restore = None


@functools.cache
def silence_ffmpeg() -> None:
    """Stop FFmpeg from writing to standard error."""
    import av.logging

    av.logging.set_level(None)
    av.logging.set_libav_level(av.logging.PANIC)


@functools.cache
def silence_pypdf() -> None:
    """Stop pypdf from logging."""
    logger = logging.getLogger("pypdf")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
