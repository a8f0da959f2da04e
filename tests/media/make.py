"""Make small media files of every format: images, sounds, videos, texts.

Pictures show a plain colour with a mark in their upper left corner, so that orientation and
cropping can be told; sounds are tones; clips change colour and tone from scene to scene.
"""

from __future__ import annotations

import wave
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.media import make_documents, make_raw

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]

RED: Colour = (200, 40, 40)
GREEN: Colour = (40, 160, 60)
BLUE: Colour = (40, 70, 190)
MARK: Colour = (250, 250, 250)

IMAGE_FORMATS = (
    "jpg", "png", "webp", "gif", "tif", "bmp", "jp2", "j2k", "ppm", "pgm", "pbm", "pfm",
    "heic", "avif", "dng", "psd", "svg",
)  # fmt: skip
AUDIO_FORMATS = (
    "wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "aiff", "au", "caf", "wma", "mka", "ac3",
    "wv", "w64", "mp2",
)  # fmt: skip
VIDEO_FORMATS = ("mp4", "mkv", "webm", "mov", "avi", "ts", "mpg", "flv", "wmv", "3gp")
TEXT_FORMATS = (
    "txt", "md", "html", "pdf", "srt", "vtt", *make_documents.DOCUMENTS, *make_documents.SUBTITLES,
)  # fmt: skip

SENTENCES = (
    "The lighthouse stands on the northern cliff above the harbour.",
    "Every evening its keeper climbs two hundred steps with a lantern.",
    "Fishermen on the water wait for the first flash before they turn home.",
    "In winter the stairs are wet, and the wind sings in the railing.",
)


def pixels(size: tuple[int, int] = (320, 240), colour: Colour = RED) -> Pixels:
    """A plain picture (height, width, 3) with a light mark in its upper left quarter."""
    width, height = size
    picture = np.full((height, width, 3), colour, dtype=np.uint8)
    picture[: height // 4, : width // 4] = MARK
    return picture


def make_image(
    path: Path, size: tuple[int, int] = (320, 240), colour: Colour = RED, **options: Any
) -> Path:
    """A picture in the format of the suffix; `options` go to Pillow."""
    suffix = path.suffix.lower()
    if suffix == ".dng":
        return make_dng(path, size, colour)
    if suffix == ".svg":
        path.write_bytes(make_documents.svg(*size))
        return path
    if suffix == ".psd":
        planes = pixels(size, colour).transpose(2, 0, 1).tobytes()
        path.write_bytes(make_documents.psd(*size, planes))
        return path
    if suffix in {".heic", ".heif"}:
        import pillow_heif

        pillow_heif.register_heif_opener()
    image = Image.fromarray(pixels(size, colour))
    if suffix == ".pgm":
        image = image.convert("L")
    elif suffix == ".pbm":
        image = image.convert("1")
    elif suffix == ".pfm":
        image = image.convert("L").convert("F")
    elif suffix == ".gif":
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
    image.save(path, **options)
    return path


def make_jpeg(
    path: Path,
    size: tuple[int, int] = (320, 240),
    colour: Colour = RED,
    *,
    orientation: int = 1,
    camera: str | None = None,
    taken: str | None = None,
    place: tuple[float, float] | None = None,
    caption: str | None = None,
    **options: Any,
) -> Path:
    """A JPEG with EXIF. `taken` as "2024:06:01 12:34:56", `place` as (latitude, longitude)."""
    exif = Image.Exif()
    if orientation != 1:
        exif[274] = orientation
    if camera:
        exif[271], exif[272] = camera.split(" ", 1)
    if caption:
        exif[270] = caption
    if taken:
        exif.get_ifd(0x8769)[36867] = taken
    if place:
        gps = exif.get_ifd(0x8825)
        latitude, longitude = place
        gps[1], gps[2] = "N" if latitude >= 0 else "S", _degrees(abs(latitude))
        gps[3], gps[4] = "E" if longitude >= 0 else "W", _degrees(abs(longitude))
    if len(exif) or taken or place:  # a directory within does not count as an entry
        options["exif"] = exif.tobytes()
    return make_image(path, size, colour, **options)


def _degrees(value: float) -> tuple[float, float, float]:
    whole = int(value)
    minutes = int((value - whole) * 60)
    return float(whole), float(minutes), round((value - whole - minutes / 60) * 3600, 4)


def make_dng(
    path: Path, size: tuple[int, int] = (320, 240), colour: Colour = RED, preview: bool = True
) -> Path:
    """A camera RAW file: DNG with a Bayer mosaic, and an embedded JPEG preview."""
    path.write_bytes(make_raw.dng(pixels(size, colour), preview=preview))
    return path


def tone(
    frequency_hz: float, duration_s: float, sample_rate_hz: int = 16_000, level: float = 0.3
) -> NDArray[np.float32]:
    """A sine, float32 (n,); frequency 0 is silence."""
    times = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    return (level * np.sin(2 * np.pi * frequency_hz * times)).astype(np.float32)


def make_wav(
    path: Path,
    tones: Sequence[tuple[float, float]] = ((440.0, 2.0),),
    sample_rate_hz: int = 16_000,
    channels: int = 1,
) -> Path:
    """A wav of (frequency in Hz, seconds) one after the other; frequency 0 is silence."""
    whole = np.concatenate([tone(hz, seconds, sample_rate_hz) for hz, seconds in tones])
    return write_wav(path, np.repeat(whole[:, None], channels, axis=1), sample_rate_hz)


def write_wav(path: Path, samples: NDArray[Any], sample_rate_hz: int) -> Path:
    """A wav of 16 bits: samples in [-1, 1], (n,) or (n, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1] if samples.ndim == 2 else 1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


_SOUND = {
    "wav": ("wav", "pcm_s16le"), "mp3": ("mp3", "libmp3lame"), "flac": ("flac", "flac"),
    "ogg": ("ogg", "vorbis"), "opus": ("ogg", "libopus"), "m4a": ("mp4", "aac"),
    "aac": ("adts", "aac"), "aiff": ("aiff", "pcm_s16be"), "au": ("au", "pcm_s16be"),
    "caf": ("caf", "pcm_s16be"), "wma": ("asf", "wmav2"), "mka": ("matroska", "libopus"),
    "ac3": ("ac3", "ac3"), "wv": ("wv", "wavpack"), "w64": ("w64", "pcm_s16le"),
    "mp2": ("mp2", "mp2"), "spx": ("ogg", "libspeex"),
}  # fmt: skip


def make_audio(
    path: Path,
    tones: Sequence[tuple[float, float]] = ((440.0, 2.0),),
    *,
    sample_rate_hz: int = 48_000,
    cover: Path | None = None,
    tags: dict[str, str] | None = None,
) -> Path:
    """A sound in the format of the suffix, with a cover picture on request."""
    container, codec = _SOUND[path.suffix.lower().lstrip(".")]
    whole = np.concatenate([tone(hz, seconds, sample_rate_hz) for hz, seconds in tones])
    with av.open(str(path), "w", format=container) as out:
        out.metadata.update(tags or {})
        track = _sound_track(out, codec, sample_rate_hz)
        picture: Any = None
        if cover is not None:
            picture = out.add_stream("mjpeg")
            with Image.open(cover) as image:
                picture.width, picture.height = image.size
            picture.pix_fmt = "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        if picture is not None and cover is not None:
            packet = av.Packet(cover.read_bytes())
            packet.stream, packet.pts, packet.dts = picture, 0, 0
            out.mux(packet)
        _write_sound(out, track, whole, sample_rate_hz)
    return path


def _sound_track(out: Any, codec: str, rate: int) -> Any:
    if codec == "vorbis":  # FFmpeg's own encoder, which knows stereo alone
        return out.add_stream(codec, rate=rate, layout="stereo", options={"strict": "experimental"})
    track = out.add_stream(codec, rate=rate, layout="mono")
    if codec == "wmav2":
        track.codec_context.bit_rate = 64_000
    return track


def _write_sound(out: Any, track: Any, whole: NDArray[np.float32], rate: int) -> None:
    frame = av.AudioFrame.from_ndarray(whole[None, :], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    context = track.codec_context
    if not context.is_open:
        context.open()
    resampler = av.AudioResampler(
        format=context.format.name,
        layout=context.layout.name,
        rate=rate,
        frame_size=context.frame_size or 1024,
    )
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        for packet in track.encode(piece):
            out.mux(packet)
    for packet in track.encode(None):
        out.mux(packet)


_FILM = {
    "mp4": ("mp4", "libx264", "aac"), "mkv": ("matroska", "libx264", "aac"),
    "webm": ("webm", "libvpx-vp9", "libopus"), "mov": ("mov", "libx264", "aac"),
    "avi": ("avi", "mpeg4", "libmp3lame"), "ts": ("mpegts", "libx264", "aac"),
    "mpg": ("mpeg", "mpeg2video", "mp2"), "flv": ("flv", "flv", "aac"),
    "wmv": ("asf", "msmpeg4", "wmav2"), "3gp": ("3gp", "libx264", "aac"),
}  # fmt: skip


def make_video(
    path: Path,
    scenes: Sequence[tuple[Colour, float]] = ((RED, 1.0), (BLUE, 1.0)),
    tones: Sequence[tuple[float, float]] = ((440.0, 1.0), (880.0, 1.0)),
    *,
    size: tuple[int, int] = (128, 96),
    frames_per_s: int = 25,
    key_frame_every: int = 12,
    rotation: int = 0,
    pixel_aspect: int = 1,
    shade: Callable[[Pixels, int], Pixels] | None = None,
    tags: dict[str, str] | None = None,
) -> Path:
    """A clip in the format of the suffix: (colour, seconds) after one another, with tones.

    `rotation` is written into the display matrix, in degrees counterclockwise. `shade` may change
    each frame (pixels, number).
    """
    container, film_codec, sound_codec = _FILM[path.suffix.lower().lstrip(".")]
    with av.open(str(path), "w", format=container) as out:
        out.metadata.update(tags or {})
        film: Any = out.add_stream(film_codec, rate=frames_per_s)
        film.width, film.height, film.pix_fmt = *size, "yuv420p"
        film.codec_context.gop_size = key_frame_every
        film.codec_context.thread_count = 1
        film.codec_context.sample_aspect_ratio = Fraction(pixel_aspect)
        if film_codec == "libx264":
            film.options = {"preset": "ultrafast", "sc_threshold": "0"}
        elif film_codec == "libvpx-vp9":
            film.options = {"deadline": "realtime", "cpu-used": "8"}
        if rotation:
            film.set_display_rotation(rotation)
        track = _sound_track(out, sound_codec, 48_000) if tones else None
        number = 0
        for colour, seconds in scenes:
            for _ in range(round(seconds * frames_per_s)):
                picture = pixels(size, colour)
                if shade is not None:
                    picture = shade(picture, number)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, frames_per_s)
                number += 1
                for packet in film.encode(frame):
                    out.mux(packet)
        for packet in film.encode(None):
            out.mux(packet)
        if track is not None:
            whole = np.concatenate([tone(hz, seconds, 48_000) for hz, seconds in tones])
            _write_sound(out, track, whole, 48_000)
    return path


make_mp4 = make_video


def make_text(path: Path, words: str | None = None) -> Path:
    """A text in the format of the suffix."""
    text = words if words is not None else "\n\n".join(SENTENCES)
    suffix = path.suffix.lower()
    if suffix == ".pdf":
        return make_pdf(path, [text])
    if suffix in {".srt", ".vtt"}:
        return make_subtitles(path)
    if suffix[1:] in make_documents.SUBTITLES:
        timed = [(3.0 * at, 3.0 * at + 2.5, line) for at, line in enumerate(SENTENCES)]
        path.write_text(make_documents.subtitles(suffix[1:], timed), encoding="utf-8")
        return path
    if suffix[1:] in make_documents.DOCUMENTS:
        path.write_bytes(make_documents.document(suffix[1:], text.split("\n\n")))
        return path
    if suffix == ".html":
        body = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))
        text = (
            "<!doctype html><html><head><title>The keeper</title><style>p{color:red}</style>"
            f"</head><body><script>var hidden = 1;</script>{body}</body></html>"
        )
    elif suffix == ".md":
        text = f"# The keeper\n\n{text}\n\n- [a link](https://example.org/page)\n"
    path.write_text(text, encoding="utf-8")
    return path


def make_subtitles(path: Path, cues: Sequence[tuple[float, float, str]] | None = None) -> Path:
    """Subtitles (start, stop, words), SubRip or WebVTT by suffix."""
    chosen = cues or [(3.0 * at, 3.0 * at + 2.5, line) for at, line in enumerate(SENTENCES)]
    web = path.suffix.lower() == ".vtt"
    lines = ["WEBVTT\n"] if web else []
    for number, (start, stop, words) in enumerate(chosen, 1):
        lines.append(f"{number}\n{_stamp(start, web)} --> {_stamp(stop, web)}\n{words}\n")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _stamp(seconds: float, web: bool) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    mark = "." if web else ","
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{mark}{thousandths:03}"


def make_pdf(path: Path, pages: Sequence[str], password: str | None = None) -> Path:
    """A PDF with a page for each text."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b""]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    kids = []
    for text in pages:
        lines = [line for line in text.split("\n") if line.strip()]
        shown = " T* ".join(f"({_escaped(line)}) Tj" for line in lines)
        content = zlib.compress(f"BT /F1 12 Tf 14 TL 40 740 Td {shown} ET".encode("latin-1"))
        objects.append(
            b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(content), content)
        )
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R"
            b"/Resources<</Font<</F1 3 0 R>>>>>>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    path.write_bytes(pdf_of(objects))
    if password is not None:
        import pypdf

        writer = pypdf.PdfWriter(clone_from=path)
        writer.encrypt(password, algorithm="RC4-128")
        with path.open("wb") as file:
            writer.write(file)
    return path


def pdf_of(objects: Sequence[bytes]) -> bytes:
    """Objects 1 to n as a PDF file; the first one is its catalogue."""
    out = b"%PDF-1.7\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return out


def _escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def make_every_format(folder: Path) -> dict[str, Path]:
    """One small valid file of every format that seehear reads, by suffix without the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Path] = {}
    for name in IMAGE_FORMATS:
        made[name] = make_image(folder / f"picture.{name}")
    for name in AUDIO_FORMATS:
        made[name] = make_audio(folder / f"sound.{name}")
    for name in VIDEO_FORMATS:
        made[name] = make_video(folder / f"clip.{name}")
    for name in TEXT_FORMATS:
        made[name] = make_text(folder / f"text.{name}")
    return made
