"""Damaged files of every format through the pool; the long run is a benchmark."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import fuzz_media, fuzz_mutations
from tests.media import make


@pytest.fixture(autouse=True)
def _seeds(every_format: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The valid files are those of the room: making them takes longer than damaging them."""
    monkeypatch.setattr(make, "make_every_format", lambda _: every_format)


@pytest.mark.parametrize(
    "files", [100, pytest.param(fuzz_media.QUICK_FILES, marks=pytest.mark.slow)]
)
def test_damaged_files_never_stop_the_run(files: int) -> None:
    tally = fuzz_media.run(files, seed=1, workers=2)
    assert tally.faults == []
    assert tally.files == files
    assert tally.hung == 0
    assert tally.decoded + sum(tally.refused.values()) + sum(tally.died.values()) == tally.files
    assert sum(tally.refused.values()) > tally.files // 4, "damage is noticed"
    assert len(tally.by_format) == len(make.IMAGE_FORMATS) + len(make.AUDIO_FORMATS) + len(
        make.VIDEO_FORMATS
    ) + len(make.TEXT_FORMATS)


def test_damaged_files_never_stop_the_service() -> None:
    tally = fuzz_media.run_service(30, seed=2, workers=2)
    assert tally.faults == []
    assert tally.decoded + sum(tally.refused.values()) + sum(tally.died.values()) == tally.files
    assert tally.files == 30


def test_the_same_seed_gives_the_same_damage() -> None:
    others = [b"another file" * 100]
    for mutation in fuzz_mutations.MUTATIONS:
        original = bytes(range(256)) * 8
        once, again = (
            mutation(bytearray(original), fuzz_mutations.Dice("1-1"), others) for _ in range(2)
        )
        assert once == again


def test_the_structure_of_files_is_known(every_format: dict[str, Path]) -> None:
    """Each chunk's size is where the walk says; damage by structure changes a seed."""
    walked = Counter[str]()
    for name, path in every_format.items():
        data = path.read_bytes()
        for chunk in fuzz_mutations.chunks_of(data):
            size = len(data[chunk.start : chunk.end]) - chunk.without
            (stated,) = struct.unpack_from(chunk.layout, data, chunk.size_at)
            # The size of an element of Matroska has a mark in front of its number.
            assert stated & 0xFFFFFFF == size & 0xFFFFFFF or name in {"mkv", "mka", "webm"}
            walked[name] += 1
    assert all(walked[name] > 5 for name in ("jpg", "heic", "avif", "mp4", "mov", "mkv", "avi"))
    assert all(walked[name] >= 3 for name in ("png", "wav", "aiff", "caf"))
    for mutation in fuzz_mutations.BY_STRUCTURE:
        changed = 0
        for name in ("mp4", "mkv", "avi", "png", "tif", "ogg", "docx"):
            data = every_format[name].read_bytes()
            made = [
                mutation(bytearray(data), fuzz_mutations.Dice(f"{seed}"), [data])
                for seed in range(5)
            ]
            changed += any(one != data for one in made)
        assert changed >= 5, mutation.__name__
