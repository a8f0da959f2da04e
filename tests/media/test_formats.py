"""Every format is recognised by its content, described, and turned into samples."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seehear import media
from seehear.errors import BrokenMediaError, MediaError, UnsupportedMediaError
from seehear.types import (
    AudioSample,
    ImageSample,
    MediaInfo,
    Modality,
    SampleSpec,
    VideoSample,
    modality_of,
)
from tests.media import make

SPEC = SampleSpec()
MODALITIES = {
    **dict.fromkeys(make.IMAGE_FORMATS, Modality.IMAGE),
    **dict.fromkeys(make.AUDIO_FORMATS, Modality.AUDIO),
    **dict.fromkeys(make.VIDEO_FORMATS, Modality.VIDEO),
    **dict.fromkeys(make.TEXT_FORMATS, Modality.TEXT),
}
NAMES = {
    "jpg": "jpeg", "tif": "tiff", "j2k": "jp2", "ppm": "pnm", "pgm": "pnm", "pbm": "pnm",
    "pfm": "pnm", "mpg": "mpeg",
}  # fmt: skip


def check_info(name: str, info: MediaInfo) -> None:
    assert info.modality is MODALITIES[name]
    assert info.format == NAMES.get(name, name)
    if info.modality is Modality.IMAGE:
        assert (info.width_px, info.height_px) == (320, 240)
        assert info.details["orientation"] == "landscape"
    if info.modality is Modality.VIDEO:
        assert (info.width_px, info.height_px) == (128, 96)
    if info.modality in (Modality.AUDIO, Modality.VIDEO):
        assert info.duration_s == pytest.approx(2.0, abs=0.2)
    else:
        assert info.duration_s is None


@pytest.mark.parametrize("name", MODALITIES)
def test_every_format_is_described_and_decoded(name: str, every_format: dict[str, Path]) -> None:
    path = every_format[name]
    info = media.probe(path)
    check_info(name, info)
    pairs = list(media.samples(path, info, SPEC))
    assert pairs
    for segment, sample in pairs:
        assert segment.modality is modality_of(sample)
        if isinstance(sample, ImageSample):
            assert sample.pixels.shape == (224, 299, 3)
        elif isinstance(sample, AudioSample):
            assert sample.sample_rate_hz == SPEC.sample_rate_hz
            assert sample.duration_s == pytest.approx(2.0, abs=0.1)
            assert np.abs(sample.waveform).max() > 0.1
        elif isinstance(sample, VideoSample):
            assert sample.frames[0].pixels.shape == (96, 128, 3)
    if info.modality is Modality.VIDEO:
        assert [s.modality for s, _ in pairs] == [Modality.VIDEO, Modality.VIDEO, Modality.AUDIO]


@pytest.mark.parametrize("name", MODALITIES)
def test_content_decides_and_not_the_suffix(
    name: str, every_format: dict[str, Path], tmp_path: Path
) -> None:
    """A file without a suffix, or with that of another kind, is what its bytes say."""
    if name in {
        "txt",
        "md",
        "html",
        "srt",
        "vtt",
        "csv",
        "json",
        "eml",
        "ass",
        "sbv",
        "ttml",
        "lrc",
    }:
        pytest.skip("plain text has nothing but its suffix")
    for other in ("nameless", "wrong.png", "wrong.mp3", "wrong.txt"):
        path = tmp_path / other
        shutil.copy(every_format[name], path)
        info = media.probe(path)
        assert info.modality is MODALITIES[name]


@pytest.mark.parametrize("name", ["jpg", "heic", "dng", "mp3", "m4a", "mp4", "webm", "pdf", "srt"])
def test_bytes_stand_for_a_file(name: str, every_format: dict[str, Path]) -> None:
    path = every_format[name]
    data = path.read_bytes()
    assert media.probe(data) == media.probe(path)
    for kind in (bytearray, memoryview):
        assert len(list(media.samples(kind(data), None, SPEC))) == len(
            list(media.samples(path, None, SPEC))
        )


@pytest.mark.parametrize("name", MODALITIES)
def test_every_format_can_be_a_query(name: str, every_format: dict[str, Path]) -> None:
    modality, samples = media.query_samples(every_format[name], SPEC)
    assert modality is MODALITIES[name]
    assert 1 <= len(samples) <= 16


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("program", b"\x7fELF\x02\x01\x01" + bytes(100)),
        (".DS_Store", b"\x00\x00\x00\x01Bud1" + bytes(100)),
        ("archive.zip", b"PK\x03\x04" + bytes(100)),
        ("data.xml", b"<a>1</a>"),
        ("code.py", b"print(1)"),
        ("types.ts", b"export const answer: number = 42;\n"),
        ("random.bin", bytes(range(256)) * 4),
    ],
)
def test_other_files_are_unsupported(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnsupportedMediaError) as caught:
        media.probe(path)
    assert caught.value.stage == "probe"


@pytest.mark.parametrize("suffix", ["jpg", "png", "heic", "dng", "mp3", "wav", "mp4", "mkv", "pdf"])
@pytest.mark.parametrize("content", [b"just words\n" * 20, b"\x01\x00\xff\xfe\x02\x03" * 50])
def test_a_name_that_claims_more_than_the_content_holds(
    suffix: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"claim.{suffix}"
    path.write_bytes(content)
    with pytest.raises(BrokenMediaError):
        media.probe(path)


@pytest.mark.parametrize("name", MODALITIES)
def test_empty_files_are_broken(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"empty.{name}"
    path.touch()
    with pytest.raises(BrokenMediaError, match="empty") as caught:
        media.probe(path)
    assert caught.value.stage == "open"


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file") as caught:
        media.probe(tmp_path / "missing.jpg")
    assert caught.value.stage == "open"
    with pytest.raises(MediaError):
        media.probe(tmp_path)
    with pytest.raises(MediaError):
        media.probe("a\x00b.jpg")


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(MediaError, match="regular"):
        media.probe(tmp_path / "pipe.jpg")


def test_names_in_any_bytes(tmp_path: Path, every_format: dict[str, Path]) -> None:
    path = Path(str(tmp_path) + "/caf\udce9.jpg")
    try:
        shutil.copy(every_format["jpg"], path)
    except (OSError, UnicodeError):
        pytest.skip("the file system keeps names in UTF-8 alone")
    assert media.probe(path).modality is Modality.IMAGE
    assert len(list(media.samples(path, None, SPEC))) == 1


def test_sidecars() -> None:
    assert {".srt", ".vtt"} <= media.SIDECAR_SUFFIXES
    assert ".mp4" not in media.SIDECAR_SUFFIXES


def test_the_import_is_light() -> None:
    """Neither decoders nor encoders come with `import seehear.media`."""
    code = (
        "import sys, seehear.media; "
        "print(sorted({'av', 'PIL', 'rawpy', 'pypdf', 'torch', 'pillow_heif'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in media.__all__:
        assert getattr(media, name) is not None
    with pytest.raises(AttributeError):
        _ = media.nothing
