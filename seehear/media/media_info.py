"""Probe a file by kind: read its headers and return a MediaInfo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

from seehear.errors import BrokenMediaError
from seehear.media import metadata
from seehear.media.metadata import Details
from seehear.media.sniff import Decoder, SniffedFormat
from seehear.media.source import size_of
from seehear.types import MediaInfo, Modality

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from seehear.media.timeline import Timeline

TIFF = SniffedFormat("tiff", Decoder.PILLOW, "TIFF")
_AUDIO_NAMES = {"mov": "m4a", "mp4": "m4a", "3gp": "m4a", "mkv": "mka", "asf": "wma"}
_VIDEO_NAMES = {"asf": "wmv", "ogg": "ogv"}


@dataclass(slots=True)
class OpenFile:
    """A source that was opened and recognised; `info` is set once it was probed.

    `info.details["partial"]` says what is missing of a file that is read in part.
    """

    file: BinaryIO
    kind: SniffedFormat
    missing_bytes: int = 0
    """How many bytes the file lacks by its own headers."""
    info: MediaInfo | None = None
    timeline: Timeline | None = None
    """The clock of a film or a sound, set once it was measured."""


@contextmanager
def told_as_truncated(item: OpenFile) -> Iterator[None]:
    """Give a truncated file that cannot be read this reason, not what its decoder stumbled over."""
    try:
        yield
    except BrokenMediaError as error:
        if not item.missing_bytes:
            raise
        whole = size_of(item.file) + item.missing_bytes
        raise BrokenMediaError(
            f"truncated: {item.missing_bytes:,} of {whole:,} bytes are missing", stage=error.stage
        ) from None


def probe_open(item: OpenFile) -> MediaInfo:
    """Probe an open file: set and return its MediaInfo. Raises MediaError."""
    with told_as_truncated(item):
        item.info = _PROBES[item.kind.reader](item)
    item.file.seek(0)
    return item.info


def _probe_image(item: OpenFile) -> MediaInfo:
    from seehear.media import image

    image.check_frames(item.file, item.kind)
    with image.opened_image(item.file, item.kind, partly=True) as opened_image:
        taken, details = metadata.of_image(opened_image)
        width, height = opened_image.size
        if image.orientation_of(opened_image, item.kind) >= 5:
            width, height = height, width
    details["orientation"] = metadata.orientation(width, height)
    return _info(Modality.IMAGE, item.kind.format, details, taken, width, height)


def _probe_raw(item: OpenFile) -> MediaInfo:
    from seehear.media import raw

    try:
        with raw.opened_raw(item.file) as opened_raw:
            width, height = raw.size_px(opened_raw)
            taken, details = raw.details_of(item.file, opened_raw)
    except raw.NotRawError:
        item.file.seek(0)
        if item.file.read(4) not in (b"II*\x00", b"MM\x00*"):
            raise BrokenMediaError("corrupt: LibRaw cannot read it", stage="probe") from None
        item.file.seek(0)
        item.kind = TIFF  # a TIFF with some tags of a RAW file
        return _probe_image(item)
    details["orientation"] = metadata.orientation(width, height)
    return _info(Modality.IMAGE, item.kind.format, details, taken, width, height)


def _probe_container(item: OpenFile) -> MediaInfo:
    from seehear.media import container as containers
    from seehear.media import timeline, video

    with (
        containers.opened_container(item.file, item.kind) as container,
        containers.as_media_errors("probe"),
    ):
        movie, track = containers.video_stream(container), containers.audio_stream(container)
        taken, details = metadata.of_tags(container.metadata)
        if track is not None:
            details["sample_rate_hz"] = int(track.codec_context.sample_rate or 0)
            details["channels"] = track.codec_context.channels
        name = item.kind.format
        if movie is None:
            if track is None:
                raise BrokenMediaError("corrupt: it has neither sound nor video", stage="probe")
            details["codec"] = track.codec_context.codec.canonical_name
            clock = _measure(item, container, None, track, details)
            # Ogg stores its tags on the stream.
            stream_taken, stream_details = metadata.of_tags(track.metadata)
            taken, details = taken or stream_taken, {**stream_details, **details}
            name = _audio_name(name, str(details["codec"]))
            return _info(Modality.AUDIO, name, details, taken, duration_s=clock.duration_s)
        context = movie.codec_context
        details["codec"] = context.codec.canonical_name
        if movie.average_rate:
            details["frame_rate"] = round(float(movie.average_rate), 3)
        video.check_size(context.width, context.height)
        shape = video.size_probe(video.aspect_of(movie))
        reader = video.FrameReader(container, movie, timeline.Timeline(0.0, None), shape)
        height, width = reader.at(0.0).shape[:2]
        clock = _measure(item, container, movie, track, details)
        details["orientation"] = metadata.orientation(width, height)
        name = _VIDEO_NAMES.get(name, name)
        return _info(Modality.VIDEO, name, details, taken, width, height, clock.duration_s)


def timeline_of(item: OpenFile) -> Timeline:
    """Return the clock of a film or a sound; measure it if that was not done. Raises MediaError."""
    if item.timeline is None:
        from seehear.media import container as containers

        with (
            containers.opened_container(item.file, item.kind) as container,
            containers.as_media_errors("probe"),
        ):
            streams = containers.video_stream(container), containers.audio_stream(container)
            return _measure(item, container, *streams, {})
    return item.timeline


def _measure(
    item: OpenFile,
    container: InputContainer,
    movie: VideoStream | None,
    track: AudioStream | None,
    details: Details,
) -> Timeline:
    from seehear.media import timeline

    clock = timeline.measure(item.file, container, movie, track)
    item.timeline = timeline.cut_off(clock, container, item.missing_bytes, details)
    return item.timeline


def _audio_name(name: str, codec: str) -> str:
    if name == "ogg":
        return {"opus": "opus", "flac": "ogg"}.get(codec, "ogg")
    return _AUDIO_NAMES.get(name, name)


def _probe_pdf(item: OpenFile) -> MediaInfo:
    from seehear.media import pdf

    with pdf.opened_pdf(item.file) as reader:
        taken, details = pdf.details_of(reader)
    return _info(Modality.TEXT, "pdf", details, taken)


def _probe_svg(item: OpenFile) -> MediaInfo:
    from seehear.media import svg

    drawing = svg.read(item.file)
    size = drawing.width_px, drawing.height_px
    return _info(Modality.IMAGE, "svg", drawing.details, None, *size)


def _probe_document(item: OpenFile) -> MediaInfo:
    from seehear.media import documents

    with documents.opened_document(item.file, "probe") as document:
        assert document is not None  # `recognise` has checked it
        taken, details = documents.details_of(document)
    return _info(Modality.TEXT, item.kind.format, details, taken)


def _probe_text(item: OpenFile) -> MediaInfo:
    from seehear.media import text

    details: Details = {}
    name = item.kind.format
    if name == "eml":
        from seehear.media import mail

        taken, details = mail.details_of(item.file.read(mail.HEADER_BYTES))
        return _info(Modality.TEXT, name, details, taken)
    if name in {"md", "html"}:
        start = text.read_text(item.file)
        title = text.front_matter_title(start) if name == "md" else text.from_html(start)[1]
        if title:
            details["title"] = title[: metadata.MOST_CHARACTERS]
    return _info(Modality.TEXT, name, details, None)


def _info(
    modality: Modality,
    name: str,
    details: Details,
    taken: datetime | None,
    width_px: int | None = None,
    height_px: int | None = None,
    duration_s: float | None = None,
) -> MediaInfo:
    seconds = None if duration_s is None else round(duration_s, 3)
    return MediaInfo(modality, name, width_px, height_px, seconds, taken, details)


_PROBES: dict[Decoder, Callable[[OpenFile], MediaInfo]] = {
    Decoder.RAW: _probe_raw,
    Decoder.PILLOW: _probe_image,
    Decoder.FFMPEG: _probe_container,
    Decoder.SVG: _probe_svg,
    Decoder.PDF: _probe_pdf,
    Decoder.ARCHIVE: _probe_document,
    Decoder.TEXT: _probe_text,
}
