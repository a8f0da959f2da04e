"""What one client may ask of the service, in one place, each bound with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from seehear.errors import UsageError

THUMBNAIL_PX = 1600
"""Longer side of the largest picture that is drawn of an asset: a screen's width."""


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Bounds on requests. Sizes in bytes, times in seconds."""

    body_bytes: int = 1 << 20
    """A request without files: 1,000 sentences of 1,000 characters."""
    upload_bytes: int = 64 << 20
    """All files of one query together: a minute of phone video, a camera's RAW picture."""
    files: int = 8
    """Files of one query; each is decoded and encoded while others wait."""
    parts: int = 32
    """Texts, files and exclusions of one query together."""
    text_characters: int = 10_000
    """One text of a query: a page. Encoders read the first few hundred words anyway."""
    k: int = 1000
    """Most hits of one answer."""
    embed_inputs: int = 256
    """Texts of one embeddings request: eight batches of an encoder."""
    running: int = 16
    """Queries worked on at once. More than there are cores, because queries that wait for the
    encoder together are encoded in one batch."""
    queue: int = 64
    """Queries that may wait beyond those; the next one is told to come back (429)."""
    query_timeout_s: float = 60.0
    """A query that takes longer is given up, so that nothing waits for ever."""
    decode_workers: int = 2
    """Processes that decode uploaded files and draw pictures."""
    decode_memory_bytes: int = 2 << 30
    """Address space of such a process: a picture of 300 megapixels passes, a bomb does not."""
    decode_timeout_s: float = 20.0
    """Longest work on one file before its process is killed."""
    query_pixels: int = 200_000_000
    """A phone's largest picture."""
    query_duration_s: float = 1800.0
    """Half an hour of sound or film as a query; only samples spread over it are encoded."""
    image_cache_bytes: int = 64 << 20
    """Drawn pictures kept in memory: about 4,000 thumbnails."""
    session_s: float = 30 * 24 * 3600.0
    """How long the page stays signed in."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise UsageError(f"the limit {name} must be above 0, not {getattr(self, name)}")
