"""Files that common programs play or show are read, however odd; what is missing is told."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from seehear import media
from seehear.config import Settings
from seehear.errors import BrokenMediaError, MediaError
from seehear.media.source import FileView
from seehear.types import ImageSample, Modality, SampleSpec, Segment
from tests.media import make
from tests.media.make_theora import ogg_theora

SPEC = SampleSpec()
CASES = Path(__file__).parents[3] / "shared" / "cases"


def spans(source: Path | bytes, modality: Modality) -> list[Segment]:
    return [one for one, _ in media.samples(source, None, SPEC) if one.modality is modality]


def picture(size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A photo-like picture in which no two rows are alike, and none is of one colour."""
    width, height = size
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    noise = np.random.default_rng(1).integers(-20, 20, (height, width, 3))
    colours = np.stack([across % 256, down % 256, (across + down) % 256], -1)
    return Image.fromarray(np.clip(colours + noise, 0, 255).astype(np.uint8))


def encoded(image_format: str, **options: Any) -> bytes:
    if image_format == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    picture().save(buffer, image_format, **options)
    return buffer.getvalue()


def pixels_of(data: bytes) -> tuple[np.ndarray[Any, Any], str | None]:
    """The whole image as it is decoded, and what is said to be missing."""
    info = media.probe(data)
    ((_, sample),) = media.samples(data, info, SampleSpec(image_px=0))
    assert isinstance(sample, ImageSample)
    partial = info.details.get("partial")
    return sample.pixels, None if partial is None else str(partial)


def id3(size: int) -> bytes:
    """An ID3 tag of so many bytes with a title; covers make them long."""
    title = b"TIT2\0\0\0\x05\0\0\x03siren"[: 10 + 6]
    digits = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + digits + title.ljust(size, b"\0")


@pytest.mark.parametrize("suffix", ["flac", "wav", "aiff"])
@pytest.mark.parametrize("tags", [(200,), (100_000,), (2_000_000,), (100_000, 300)])
def test_tags_of_any_length_before_any_sound(
    suffix: str, tags: tuple[int, ...], tmp_path: Path
) -> None:
    sound = make.make_audio(tmp_path / f"a.{suffix}", ((440.0, 3.0),)).read_bytes()
    for tagged in (tmp_path / f"tagged.{suffix}", tmp_path / "no suffix"):
        tagged.write_bytes(b"".join(id3(size) for size in tags) + sound)
        info = media.probe(tagged)
        assert info.format == suffix
        assert info.duration_s == pytest.approx(3.0, abs=0.01)
        (found,) = spans(tagged, Modality.AUDIO)
        assert found.stop_s == pytest.approx(3.0, abs=0.01)


def test_the_part_of_a_file_is_a_file() -> None:
    view = FileView(io.BytesIO(b"0123456789"), 4)
    assert view.read(3) == b"456"
    assert view.tell() == 3
    assert view.seek(-2, os.SEEK_END) == 4
    assert view.read() == b"89"
    assert view.seek(1) == 1
    assert view.seek(1, os.SEEK_CUR) == 2
    assert view.read(1) == b"6"
    part = FileView(io.BytesIO(b"0123456789"), 2, 6)
    assert (part.read(), part.read(), part.seek(0, os.SEEK_END)) == (b"2345", b"", 4)
    assert (part.seek(-1, os.SEEK_END), part.read(9)) == (3, b"5")
    assert (part.seek(7), part.read(1)) == (7, b"")
    with pytest.raises(ValueError, match="before the start"):
        view.seek(-1)


JUNK = {
    "words": b"another program wrote this" * 120,
    "a box": struct.pack(">I4s", 5_000, b"SEFT") + bytes(900),
    "zeros": bytes(3_000),
    "noise": bytes(range(1, 256)) * 12,
}


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize(
    "name",
    ["mp4", "mov", "3gp", "mkv", "avi", "m4a", "wav", "flac", "wv", "au", "w64", "caf", "wma",
     "aiff", "mka", "ogg"],
)  # fmt: skip
def test_data_of_other_programs_behind_a_recording(name: str, junk: str, tmp_path: Path) -> None:
    if name in make.VIDEO_FORMATS:
        path, modality = make.make_video(tmp_path / f"a.{name}"), Modality.VIDEO
    else:
        path, modality = make.make_audio(tmp_path / f"a.{name}"), Modality.AUDIO
    whole, info = spans(path, modality), media.probe(path)
    path.write_bytes(path.read_bytes() + 9 * JUNK[junk])
    assert spans(path, modality) == whole
    after = media.probe(path)
    assert after.duration_s == pytest.approx(info.duration_s, abs=0.002)
    assert replace(after, duration_s=info.duration_s) == info


@pytest.mark.parametrize("length", [0, -1, -(1 << 63), 5_000, 1 << 40, (1 << 63) - 1])
@pytest.mark.parametrize("chunk", [b"desc", b"info", b"data"])
def test_a_caf_whose_chunks_have_any_size_is_read_or_refused(
    chunk: bytes, length: int, tmp_path: Path
) -> None:
    path = make.make_audio(tmp_path / "a.caf")
    data = bytearray(path.read_bytes())
    struct.pack_into(">q", data, data.index(chunk) + 4, length)
    path.write_bytes(data)
    with suppress(MediaError):
        assert len(spans(path, Modality.AUDIO)) <= 1


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "HEIF", "AVIF", "BMP"])
def test_data_of_other_programs_behind_a_picture(name: str, junk: str) -> None:
    whole, _ = pixels_of(encoded(name))
    shown, partial = pixels_of(encoded(name) + JUNK[junk])
    assert np.array_equal(shown, whole)
    assert partial is None


def with_bad_sum(data: bytes) -> bytes:
    damaged = bytearray(data)
    damaged[damaged.find(b"a title")] ^= 1
    return bytes(damaged)


def with_riff_size(more: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:4] + struct.pack("<I", len(data) - 8 + more) + data[8:]


def png_text() -> PngImagePlugin.PngInfo:
    words = PngImagePlugin.PngInfo()
    words.add_text("Title", "a title")
    return words


@pytest.mark.parametrize(
    ("name", "options", "damage"),
    [
        ("JPEG", {}, lambda data: data[:-2]),
        ("PNG", {"pnginfo": png_text()}, with_bad_sum),
        ("PNG", {"pnginfo": png_text(), "interlace": 1}, with_bad_sum),
        ("PNG", {}, lambda data: data[:-12]),
        ("GIF", {}, lambda data: data[:-1]),
        ("WEBP", {}, with_riff_size(-10)),
        ("WEBP", {}, with_riff_size(10)),
        ("WEBP", {"lossless": True}, with_riff_size(5_000)),
    ],
)
def test_pictures_that_lack_nothing_but_a_mark(
    name: str, options: dict[str, Any], damage: Callable[[bytes], bytes]
) -> None:
    whole, _ = pixels_of(encoded(name, **options))
    shown, partial = pixels_of(damage(encoded(name, **options)))
    assert np.array_equal(shown, whole)
    assert partial is None


@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("JPEG", {"quality": 90}), ("PNG", {}), ("GIF", {"interlace": 0}), ("WEBP", {}),
        ("WEBP", {"lossless": True}), ("TIFF", {}), ("HEIF", {}), ("AVIF", {}), ("PPM", {}),
    ],
)  # fmt: skip
def test_the_part_of_a_picture_that_is_there(
    name: str, options: dict[str, Any], share: float
) -> None:
    data = encoded(name, **options)
    whole, _ = pixels_of(data)
    shown, partial = pixels_of(data[: int(share * len(data))])
    assert partial is not None
    assert partial.startswith("cut off: the last ")
    rows, told = len(shown), int(partial.split()[4])
    assert rows < 240
    assert told == pytest.approx(100 * (1 - rows / 240), abs=1)
    assert abs(rows / 240 - share) < 0.15
    sure = rows // 2  # the codecs of video paint over the place of the cut
    assert np.abs(shown[:sure].astype(int) - whole[:sure]).mean() < 3


def test_a_bitmap_is_stored_from_its_last_row_on() -> None:
    data = encoded("BMP")
    whole, _ = pixels_of(data)
    shown, partial = pixels_of(data[: len(data) * 3 // 4])
    assert partial is not None
    assert np.array_equal(shown, whole[-len(shown) :])


@pytest.mark.parametrize(
    ("name", "options"), [("JPEG", {"progressive": True}), ("GIF", {"interlace": 1})]
)
def test_a_picture_of_several_passes_is_shown_coarsely(name: str, options: dict[str, Any]) -> None:
    data = encoded(name, **options)
    whole, _ = pixels_of(data)
    shown, partial = pixels_of(data[: len(data) // 2])
    assert partial == "cut off: fine detail of the picture may be missing"
    small = Image.fromarray(whole).resize(shown.shape[1::-1], Image.Resampling.BOX)
    assert np.abs(shown.astype(int) - np.asarray(small)).mean() < 25


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_a_picture_without_most_of_it_is_a_failure(name: str) -> None:
    data = encoded(name, quality=90) if name == "JPEG" else encoded(name)
    with pytest.raises(BrokenMediaError, match=r"^truncated: "):
        pixels_of(data[: int(0.12 * len(data))])


def faststart(path: Path, target: Path, flags: str = "faststart") -> Path:
    """The same packets in an MP4 whose index comes first."""
    with (
        av.open(str(path)) as source,
        av.open(str(target), "w", options={"movflags": flags}) as out,
    ):
        streams = [out.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return target


@pytest.mark.parametrize("name", ["mp4", "fragments", "mkv", "webm", "avi", "wmv"])
def test_a_film_that_was_cut_off_is_read_up_to_there(name: str, tmp_path: Path) -> None:
    scenes = ((make.RED, 2.0), (make.GREEN, 2.0), (make.BLUE, 6.0))
    suffix = "mp4" if name == "fragments" else name
    path = make.make_video(tmp_path / f"a.{suffix}", scenes, ((440.0, 10.0),))
    if suffix == "mp4":
        flags = "frag_keyframe+empty_moov" if name == "fragments" else "faststart"
        path = faststart(path, tmp_path / "b.mp4", flags)
    data = path.read_bytes()
    path.write_bytes(data[: int(0.7 * len(data))])
    info = media.probe(path)
    assert str(info.details["partial"]).startswith("cut off after ")
    assert info.duration_s is not None
    assert 4.5 < info.duration_s < 9.0
    if name in {"mp4", "mkv", "webm"}:
        told = f"cut off after {info.duration_s:.1f} s of 10.0 s"
        assert info.details["partial"] == told
    shots = [one for one, _ in media.samples(path, info, SPEC) if one.modality is Modality.VIDEO]
    assert [round(one.start_s or 0.0) for one in shots] == [0, 2, 4]
    assert 4.5 < (shots[-1].stop_s or 0.0) <= info.duration_s + 0.05
    assert media.thumbnail(path, info, 64, time_s=9.5)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "ogg", "opus", "aiff", "caf", "wv", "w64"])
def test_a_sound_that_was_cut_off_is_heard_up_to_there(name: str, tmp_path: Path) -> None:
    path = make.make_audio(tmp_path / f"a.{name}", ((440.0, 30.0),))
    data = path.read_bytes()
    path.write_bytes(data[: int(0.4 * len(data))])
    info = media.probe(path)
    assert str(info.details["partial"]).startswith("cut off after 1")
    assert info.duration_s == pytest.approx(12.0, abs=1.1)
    heard = [one for one, _ in media.samples(path, info, SPEC)]
    assert heard[-1].stop_s == pytest.approx(info.duration_s, abs=0.2)


def test_the_index_of_a_film_is_missing(tmp_path: Path) -> None:
    path = make.make_video(tmp_path / "a.mov")
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"moov") - 500])
    with pytest.raises(BrokenMediaError, match="its index"):
        media.probe(path)


def test_workers_tell_what_is_missing(tmp_path: Path) -> None:
    """A picture is found to be cut off when it is decoded, after it was described."""
    data = encoded("PNG")
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    for file in media.decode_all([tmp_path / "a.png"], SPEC, Settings(decode_workers=1)):
        assert file.info is not None
        assert len(list(file)) == 1
        assert str(file.info.details["partial"]).startswith("cut off: the last 5")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_of_unknown_length(size: int, tmp_path: Path) -> None:
    data = bytearray(make.make_wav(tmp_path / "a.wav", ((440.0, 3.0),)).read_bytes())
    struct.pack_into("<I", data, 4, size)
    struct.pack_into("<I", data, 40, size)
    assert media.probe(bytes(data)).duration_s == pytest.approx(3.0, abs=0.01)
    assert len(spans(bytes(data), Modality.AUDIO)) == 1


def test_an_avi_whose_sizes_are_wrong_or_whose_index_is_missing(tmp_path: Path) -> None:
    path = make.make_video(tmp_path / "a.avi")
    data, whole = path.read_bytes(), spans(path, Modality.VIDEO)
    for damaged in (
        data[: data.rfind(b"idx1")],
        with_riff_size(1_000)(data),
        with_riff_size(-1_000)(data),
    ):
        shots = spans(damaged, Modality.VIDEO)
        assert [one.start_s for one in shots] == [one.start_s for one in whole]
        assert "partial" not in media.probe(damaged).details


def test_packets_without_content_repeat_a_frame() -> None:
    """So does Theora store a still scene: of 150 packets 147 are empty."""
    film = ogg_theora([1, -1, 0], 50)
    info = media.probe(film)
    assert (info.format, info.duration_s) == ("ogv", 6.0)
    shots = spans(film, Modality.VIDEO)
    assert shots[-1].stop_s == 6.0
    assert "partial" not in info.details
    light, dark, grey = (media.frame_at(film, at, 32).pixels.mean() for at in (1.0, 3.0, 5.0))
    assert light > grey > dark


@pytest.mark.parametrize("name", ["docx", "odt", "epub"])
def test_data_of_other_programs_behind_a_document(name: str, tmp_path: Path) -> None:
    path = make.make_text(tmp_path / f"a.{name}")
    whole = spans(path, Modality.TEXT)
    for size in (3_000, 200_000):
        assert spans(path.read_bytes() + bytes(size), Modality.TEXT) == whole


def test_a_pdf_without_its_last_line(tmp_path: Path) -> None:
    path = make.make_text(tmp_path / "a.pdf")
    whole = spans(path, Modality.TEXT)
    assert whole
    assert spans(path.read_bytes().removesuffix(b"%%EOF\n"), Modality.TEXT) == whole


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of odd files is absent")
def test_shared_cases() -> None:
    siren = media.probe(CASES / "id3_cover_100k.flac")
    assert siren.format == "flac"
    assert spans(CASES / "id3_cover_100k.flac", Modality.AUDIO)
    film = media.probe(CASES / "trailer.mp4")
    assert film.duration_s == 20.0
    assert "partial" not in film.details
    assert spans(CASES / "trailer.mp4", Modality.VIDEO)
    words = " ".join(one.text or "" for one in spans(CASES / "blank_line.srt", Modality.TEXT))
    assert "ocelot" in words
    assert "quagga" in words
