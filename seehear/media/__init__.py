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

from collections.abc import Iterator
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
from seehear.types import AudioSample, ImageSample, MediaInfo, Modality, Sample, SampleSpec, Segment

if TYPE_CHECKING:
    from seehear.media.workers.decode_all import DecodedFile, DecodeTask, decode_all


def probe(source: Source) -> MediaInfo:
    """Read what a file is: format, size of the image, duration, date, captions.

    Reads headers only. `info.details` has these keys where the file states them: "orientation"
    ("landscape", "portrait", "square"), "camera", "lens", "latitude", "longitude", "altitude_m",
    "caption", "title", "keywords" (joined with "; "), "artist", "album", "genre", "pages",
    "codec", "frame_rate", "sample_rate_hz", "channels", "video_tracks" and "sound_tracks" (their
    numbers, where there is more than one), "described_by" (the files beside it that were read),
    "partial" (what is missing of a file that was cut off; of an image only `samples` finds out,
    and adds it). Raises MediaError.
    """
    from seehear.media import decode

    return decode.probe(source)


def samples(
    source: Source, info: MediaInfo | None, spec: SampleSpec
) -> Iterator[tuple[Segment, Sample]]:
    """Decode a file lazily: yield its segments with their samples, in order of time.

    image   one Segment(IMAGE) with its ImageSample; more for the frames of an animation that
            differ, which have times, for pages, and for the tiles of an elongated image
    audio   windows that are not silent, Segment(AUDIO, start, stop) with an AudioSample
    video   shots, Segment(VIDEO, start, stop) with a VideoSample, then the windows of the sound
            track as for audio; of a second track what differs from the first
    text    passages, Segment(TEXT, text=...) with the passage as str; subtitles have times.
            Pages of a PDF without text follow as Segment(IMAGE, page=...)

    `info` is the result of `probe`; with None, the file is probed again. A file without content
    to find (a silent recording, an empty page) yields nothing. The iterator keeps the file open
    until it ends. Raises MediaError, also after some pairs.
    """
    from seehear.media import decode

    return decode.samples(source, info, spec)


def query_samples(source: Source, spec: SampleSpec) -> tuple[Modality, tuple[Sample, ...]]:
    """Decode a query file: its modality, and at most `QUERY_SAMPLES` samples per kind.

    The samples are spread over the length of the file. A video gives shots, then windows of its
    sound track. Raises BrokenMediaError where the file has nothing to search for (silence, an
    empty text), MediaError where it cannot be read.
    """
    from seehear.media import decode

    return decode.query_samples(source, spec)


def load_image(source: Source, min_px: int) -> ImageSample:
    """Decode an image: upright, RGB, alpha over white; uint8 (height, width, 3).

    Scaled down so that the shorter side has `min_px` pixels (never up); `min_px` 0 keeps the size.
    Raises MediaError.
    """
    from seehear.media import decode

    return decode.load_image(source, min_px)


def load_audio(
    source: Source, sample_rate_hz: int, *, start_s: float = 0.0, max_s: float = 600.0
) -> AudioSample:
    """Decode up to `max_s` seconds of a sound (or of a video's sound track), mono float32 (n,).

    Raises MediaError.
    """
    from seehear.media import decode

    return decode.load_audio(source, sample_rate_hz, start_s=start_s, max_s=max_s)


def frame_at(source: Source, time_s: float, px: int) -> ImageSample:
    """Decode the frame that a video shows at `time_s`, upright, shorter side at most `px`.

    A time past the end gives the last frame; an image gives the image itself. Raises MediaError.
    """
    from seehear.media import decode

    return decode.frame_at(source, time_s, px)


def thumbnail(
    source: Source,
    info: MediaInfo | None = None,
    px: int = 256,
    *,
    time_s: float | None = None,
    page: int | None = None,
) -> bytes:
    """Draw a WebP thumbnail, longer side at most `px`.

    Of an image; of a video at `time_s` (without it: early in the video); of a sound, its
    spectrogram; of a TIFF or a PDF, the `page` (from 1). Raises UnsupportedMediaError for other
    text, MediaError for a file that cannot be read.
    """
    from seehear.media import decode

    return decode.thumbnail(source, info, px, time_s=time_s, page=page)


def spectrogram_image(
    source: Source,
    start_s: float = 0.0,
    stop_s: float | None = None,
    *,
    width_px: int = 320,
    height_px: int = 180,
) -> bytes:
    """Draw the log-mel spectrogram of [start_s, stop_s), at most one minute, as a PNG.

    Raises MediaError.
    """
    from seehear.media import decode

    return decode.spectrogram_image(source, start_s, stop_s, width_px=width_px, height_px=height_px)


def __getattr__(name: str) -> object:
    # The pool needs subprocess and threads; reading one image does not.
    if name in {"DecodeTask", "DecodedFile", "decode_all"}:
        from seehear.media.workers import decode_all as module

        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
