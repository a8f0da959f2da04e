"""Read one file of any kind: recognise it, then pass it to the decoder of its kind.

`seehear.media` re-exports these functions.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

import numpy as np

from seehear.errors import BrokenMediaError, MediaLimitError, UnsupportedMediaError
from seehear.media import truncation
from seehear.media.fingerprints import Fingerprinter
from seehear.media.limits import LIMITS
from seehear.media.media_info import TIFF, OpenFile, probe_open, timeline_of, told_as_truncated
from seehear.media.sniff import NO_DOCUMENT, Decoder, SniffedFormat, refuse, sniff_file
from seehear.media.source import FileView, Source, opened, path_of, size_of, suffix_of
from seehear.types import (
    AudioSample,
    ImageSample,
    MediaInfo,
    Modality,
    Sample,
    SampleSpec,
    Segment,
)

QUERY_SAMPLES = 8
"""Samples of one kind taken from a query file: enough to cover a short video, few enough to answer
at once."""

_BYTE_LIMITS = {
    Decoder.PILLOW: LIMITS.image_bytes,
    Decoder.RAW: LIMITS.image_bytes,
    Decoder.FFMPEG: LIMITS.video_bytes,
    Decoder.SVG: LIMITS.svg_bytes,
    Decoder.PDF: LIMITS.pdf_bytes,
    Decoder.ARCHIVE: LIMITS.document_bytes,
    Decoder.TEXT: LIMITS.text_bytes,
}


@contextmanager
def recognised(source: Source) -> Iterator[OpenFile]:
    """Open a source and recognise it. Raises MediaError."""
    with opened(source) as file:
        item = recognise(file, path_of(source))
        if not isinstance(source, str | os.PathLike):
            item.path = ""  # whoever opened it wants this file alone, not what lies beside it
        yield item


@contextmanager
def recognised_media(source: Source) -> Iterator[OpenFile]:
    """Open a sound or a video and recognise it. Raises MediaError, also for other files."""
    with recognised(source) as item:
        _expect(item, Decoder.FFMPEG, "sound")
        yield item


def recognise(file: BinaryIO, path: str) -> OpenFile:
    """Recognise an open file within the size limit of its kind; count the bytes that it lacks.

    Raises MediaError.
    """
    suffix = suffix_of(path)
    kind, file = sniff_file(file, suffix)
    size, most = size_of(file), _BYTE_LIMITS[kind.reader]
    if size > most:
        raise MediaLimitError(
            f"{size / 2**30:,.1f} GiB; the limit for {kind.format} is {most / 2**30:,.1f} GiB",
            stage="probe",
        )
    missing = truncation.missing_bytes(file, kind)
    if (end := truncation.content_size(file, kind)) < size:
        file = cast(BinaryIO, FileView(file, 0, end))
    if kind.reader is Decoder.ARCHIVE:
        kind = _document_kind(file, suffix)
    return OpenFile(file, kind, missing, path=path)


def _document_kind(file: BinaryIO, suffix: str) -> SniffedFormat:
    """Tell which document an archive is, by the names of the files in it. Raises MediaError."""
    from seehear.media import documents

    with documents.opened_document(file, "probe") as document:
        name = document.format if document is not None else ""
    file.seek(0)
    return (
        SniffedFormat(name, Decoder.ARCHIVE)
        if name
        else refuse(suffix, f"the content is {NO_DOCUMENT}")
    )


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
    with recognised(source) as item:
        return probe_open(item)


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
    with recognised(source) as item:
        if info is None:
            probe_open(item)
        else:
            item.info = info
        yield from samples_open(item, spec)


def samples_open(
    item: OpenFile, spec: SampleSpec, made: Fingerprinter | None = None
) -> Iterator[tuple[Segment, Sample]]:
    """Yield what `samples` yields, for a file that is open and probed; show all of it to `made`.

    What is found missing on the way is added to `item.info.details`.
    """
    info, reader = item.info, item.kind.reader
    assert info is not None
    with told_as_truncated(item):
        if spec.reader:
            from seehear.media import for_readers

            yield from for_readers.samples_for(item, spec, images_of)
        elif info.modality is Modality.IMAGE:
            for segment, sample in images_of(item, spec.image_px):
                if made is not None:
                    made.image(sample.pixels)
                yield segment, sample
        elif reader is Decoder.FFMPEG:
            from seehear.media import tracks

            yield from itertools.islice(tracks.samples(item, spec, made), LIMITS.segments)
        else:
            from seehear.media import texts

            yield from itertools.islice(texts.passages_of(item, info, spec, made), LIMITS.segments)
            if reader is Decoder.PDF:
                from seehear.media import pdf

                for page, sample in pdf.images_of(item.file, spec.image_px):
                    yield Segment(Modality.IMAGE, page=page), sample


def query_samples(source: Source, spec: SampleSpec) -> tuple[Modality, tuple[Sample, ...]]:
    """Decode a query file: its modality, and at most `QUERY_SAMPLES` samples per kind.

    The samples are spread over the length of the file. A video gives shots, then windows of its
    sound track. Raises BrokenMediaError where the file has nothing to search for (silence, an
    empty text), MediaError where it cannot be read.
    """
    from seehear.media import audio, tracks

    with recognised(source) as item:
        info = probe_open(item)
        if item.kind.reader is Decoder.FFMPEG:
            found = tracks.query_samples(item, spec, QUERY_SAMPLES)
        else:
            every = [sample for _, sample in samples_open(item, spec)]
            # The pictures of a document are asked with where it has no words.
            words = [sample for sample in every if isinstance(sample, str)]
            found = list(audio.spread_evenly(words or every, QUERY_SAMPLES))
    if not found:
        empty = "it is silent" if info.modality is Modality.AUDIO else "it has no words"
        raise BrokenMediaError(f"there is nothing to search for in this file: {empty}")
    return info.modality, tuple(found)


def load_image(source: Source, min_px: int) -> ImageSample:
    """Decode an image: upright, RGB, alpha over white; uint8 (height, width, 3).

    Scaled down so that the shorter side has `min_px` pixels (never up); `min_px` 0 keeps the size.
    Raises MediaError.
    """
    with recognised(source) as item:
        return _image(item, min_px)


def load_audio(
    source: Source, sample_rate_hz: int, *, start_s: float = 0.0, max_s: float = 600.0
) -> AudioSample:
    """Decode up to `max_s` seconds of a sound (or of a video's sound track), mono float32 (n,).

    Raises MediaError.
    """
    from seehear.media import tracks

    with recognised(source) as item:
        _expect(item, Decoder.FFMPEG, "sound")
        return tracks.load_audio(item, sample_rate_hz, start_s, max_s)


def frame_at(source: Source, time_s: float, px: int) -> ImageSample:
    """Decode the frame that a video shows at `time_s`, upright, shorter side at most `px`.

    A time past the end gives the last frame; an image gives the image itself. Raises MediaError.
    """
    from seehear.media import tracks

    with recognised(source) as item:
        if item.kind.reader in (Decoder.PILLOW, Decoder.RAW, Decoder.SVG):
            return _image(item, px, time_s)
        _expect(item, Decoder.FFMPEG, "image")
        return tracks.frame_at(item, time_s, px)


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
    from seehear.media import image, image_frames, pdf, tracks

    with recognised(source) as item:
        item.info = info or probe_open(item)
        if item.info.modality is Modality.AUDIO:
            return _spectrogram(item, time_s or 0.0, None, px, max(1, px * 9 // 16), "WEBP")
        if page is not None and item.kind.reader is Decoder.PDF:
            pixels = pdf.page_image(item.file, page, px).pixels
        elif item.info.modality is Modality.TEXT:
            raise UnsupportedMediaError("text has no thumbnail")
        elif item.info.modality is Modality.VIDEO:
            # A little way in: the first frame is often black.
            early = min(3.0, 0.1 * (item.info.duration_s or 0.0))
            pixels = tracks.frame_at(item, early if time_s is None else time_s, px).pixels
        elif page is not None and item.kind.decoder in image_frames.SEVERAL:
            pixels = image_frames.page_at(item.file, item.kind, px, page).pixels
        else:
            pixels = _image(item, px, time_s).pixels
        return image.encoded(image.resized(pixels, px), "WEBP")


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
    with recognised(source) as item:
        _expect(item, Decoder.FFMPEG, "sound")
        return _spectrogram(item, start_s, stop_s, width_px, height_px, "PNG")


def _expect(item: OpenFile, reader: Decoder, what: str) -> None:
    if item.kind.reader is not reader:
        raise UnsupportedMediaError(f"a file of the format {item.kind.format} has no {what}")


def images_of(item: OpenFile, px: int) -> Iterator[tuple[Segment, ImageSample]]:
    """Yield the pictures of an image file, and tiles of an elongated one. Raises MediaError."""
    from seehear.media import image, image_frames

    if item.kind.reader is not Decoder.PILLOW:
        yield from image_frames.with_tiles(_image(item, px))
        return
    image.check_frames(item.file, item.kind)
    given = False
    try:
        for found in image_frames.images(item.file, item.kind, px):
            given = True
            yield found
    except BrokenMediaError:
        if not given:
            yield Segment(Modality.IMAGE), _image(item, px)
        elif item.info is not None:
            item.info.mark_partial("cut off: its later pictures cannot be decoded")


def _image(item: OpenFile, min_px: int, time_s: float | None = None) -> ImageSample:
    if item.kind.reader is Decoder.SVG:
        from seehear.media import svg

        return svg.load(svg.read(item.file), min_px)
    loaded, missing = _raw(item, min_px) or _pixels(item, min_px, time_s)
    if item.info is not None and missing:
        item.info.mark_partial(missing)
    return loaded


def _raw(item: OpenFile, min_px: int) -> tuple[ImageSample, str] | None:
    """Read a camera's RAW file, and say what is missing; None for a file of another kind."""
    if item.kind.reader is not Decoder.RAW:
        return None
    from seehear.media import raw

    try:
        loaded = raw.load(item.file, min_px)
    except raw.NotRawError:
        item.kind = TIFF
        return None
    lacks = item.missing_bytes
    return loaded, f"cut off: {lacks:,} bytes are missing" if lacks else ""


def _pixels(item: OpenFile, min_px: int, time_s: float | None) -> tuple[ImageSample, str]:
    from seehear.media import image, image_frames, partial_image

    _expect(item, Decoder.PILLOW, "image")
    item.file.seek(0)
    image.check_frames(item.file, item.kind)
    if item.kind.decoder in image_frames.SEVERAL:
        with suppress(BrokenMediaError):
            return image_frames.image_at(item.file, item.kind, min_px, time_s), ""
        item.file.seek(0)
    return partial_image.load(item.file, item.kind, min_px)


def _spectrogram(
    item: OpenFile, start_s: float, stop_s: float | None, width: int, height: int, name: str
) -> bytes:
    from seehear.media import image, spectrogram, tracks

    stop = start_s + spectrogram.MOST_S if stop_s is None else stop_s
    most = min(max(stop - start_s, 0.1), spectrogram.MOST_S)
    rate, start_s = spectrogram.SAMPLE_RATE_HZ, max(0.0, start_s)
    waveform = tracks.load_audio(item, rate, start_s, most).waveform
    # Where a sound track ends before its film, silence is drawn, so that times hold.
    lasts = min(most, (timeline_of(item).duration_s or 0.0) - start_s)
    waveform = np.pad(waveform, (0, max(0, round(lasts * rate) - len(waveform))))
    return image.encoded(spectrogram.draw(waveform, width, height), name)
