"""What one query, and one client of the service, may ask for: each limit once, with its reason."""

from __future__ import annotations

from dataclasses import dataclass, fields

from seehear.errors import UsageError

FILTER_CHARACTERS = 2_000
"""Length of a filter. The parser's work grows with it."""
FOLDER_CHARACTERS = 4_096
"""Length of a folder's name in a request: the longest path of Linux."""
MODALITIES = 8
"""Kinds named in one request; each of the four may be named twice."""
ASSISTANT_HITS = 50
"""Most hits in one answer to a language model, which reads all of them."""
CLIP_S = 60.0
"""Longest clip that the service cuts, in seconds: encoding 4K takes ten times as long."""
THUMBNAIL_PX = 1600
"""Longer side of the largest thumbnail: a screen's width."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Bound one query, whichever interface it comes from."""

    parts: int = 32
    """Texts, files and exclusions together: more than a person would combine."""
    weight: float = 100.0
    """Largest weight of a part; the others would count for less than 1 %."""
    text_characters: int = 1_000_000
    """One text: a book. Encoders read the first few hundred words anyway."""
    k: int = 10_000
    """Most hits of one answer."""
    moments: int = 100
    """Most moments of one hit."""
    said_s: float = 60.0
    """Seconds of a spoken question that are heard; the rest is not."""
    likes: int = 64
    """Most hits to find more like, and as many to find less like; each becomes a part."""

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) <= 0:
                raise UsageError(
                    f"the limit {limit.name} must be above 0, not {getattr(self, limit.name)}"
                )


@dataclass(frozen=True, slots=True)
class ServiceLimits(QueryLimits):
    """Bound the requests to the service. Sizes in bytes, times in seconds."""

    text_characters: int = 10_000
    """One text of a query: a page."""
    k: int = 1000
    """Most hits of one answer."""
    body_bytes: int = 1 << 20
    """A request without files: 1,000 sentences of 1,000 characters."""
    upload_bytes: int = 64 << 20
    """All files of one query together: a minute of phone video, a camera's RAW picture."""
    files: int = 8
    """Files of one query; each is decoded and encoded while others wait."""
    embed_inputs: int = 256
    """Texts of one embeddings request: eight batches of an encoder."""
    all_bodies_bytes: int = 256 << 20
    """Bodies of all requests under way together: four of the largest uploads."""
    connections: int = 512
    """Open at once; one more closes the one that has been idle the longest."""
    header_s: float = 10.0
    """For a client to send the line and the headers of a request, from the connection or the last
    answer on."""
    stall_s: float = 10.0
    """Longest pause of a client within a body."""
    body_s: float = 120.0
    """For the whole body: the largest upload over a line of 5 Mbit/s."""
    reading_s: float = 300.0
    """Longest pause of a client that reads an answer: a player that is paused."""
    running: int = 16
    """Queries worked on at once. More than there are cores, because queries that wait for the
    encoder together are encoded in one batch."""
    queue: int = 64
    """Queries that may wait beyond those; the next one is told to come back (503)."""
    uploads: int = 8
    """Requests with files that may wait or be received, beyond those that are decoded."""
    listing: int = 4
    """Requests for what the collection holds, answered at once; `queue` of them may wait."""
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
    job_lease_s: float = 20.0
    """An index job whose service has been silent for so long is taken over by another one, which
    looks every quarter of it: after 25 s at most."""
