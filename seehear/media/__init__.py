"""Turn files into samples: recognise a file, then decode its images, sound, shots or passages.

    info = probe(path)                         the format, from the content; decodes no whole file
    for segment, sample in samples(path, info, spec):
        ...                                    decoded one by one, in order of time

A `Source` is a path or the bytes of a file. Everything here raises MediaError (one line, with the
stage that failed) for a file that cannot be read, and nothing else for bad content:

    UnsupportedMediaError   not a media file, and its name does not claim to be one
    BrokenMediaError        empty, truncated, corrupt, encrypted, or not what its name claims
    MediaLimitError         beyond `LIMITS`

`decode_all` does the same for many files in worker processes (see workers/).
Pillow, PyAV and the other decoders are imported when they are first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seehear.media.formats import (
    FORMATS,
    NO_SUFFIX,
    RAW_SUFFIXES,
    SIDECAR_SUFFIXES,
    SUFFIXES,
    UNREAD_FORMATS,
    suffix_label,
)
from seehear.media.limits import LIMITS, Limits
from seehear.media.source import Source

if TYPE_CHECKING:
    from seehear.media.decode import (
        frame_at,
        load_audio,
        load_image,
        probe,
        query_samples,
        samples,
        spectrogram_image,
        thumbnail,
    )
    from seehear.media.workers.decode_all import DecodedFile, DecodeTask, decode_all


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The pool needs subprocess and threads; reading one image does not.
    if name in {"DecodeTask", "DecodedFile", "decode_all"}:
        from seehear.media.workers import decode_all as pool

        return getattr(pool, name)
    from seehear.media import decode

    return getattr(decode, name)


__all__ = [
    "FORMATS",
    "LIMITS",
    "NO_SUFFIX",
    "RAW_SUFFIXES",
    "SIDECAR_SUFFIXES",
    "SUFFIXES",
    "UNREAD_FORMATS",
    "DecodeTask",
    "DecodedFile",
    "Limits",
    "Source",
    "decode_all",
    "frame_at",
    "load_audio",
    "load_image",
    "probe",
    "query_samples",
    "samples",
    "spectrogram_image",
    "suffix_label",
    "thumbnail",
]
