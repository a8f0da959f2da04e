"""Three hundred damaged files of every format through the pool; the long run is a benchmark."""

from __future__ import annotations

from benchmarks import fuzz_media
from tests.media import make


def test_damaged_files_never_stop_the_run() -> None:
    tally = fuzz_media.run(fuzz_media.QUICK_FILES, seed=1, workers=2)
    assert tally.faults == []
    assert tally.files == fuzz_media.QUICK_FILES
    assert tally.hung == 0
    assert tally.decoded + sum(tally.refused.values()) + sum(tally.died.values()) == tally.files
    assert sum(tally.refused.values()) > tally.files // 4, "damage is noticed"
    assert len(tally.by_format) == len(make.IMAGE_FORMATS) + len(make.AUDIO_FORMATS) + len(
        make.VIDEO_FORMATS
    ) + len(make.TEXT_FORMATS)


def test_the_same_seed_gives_the_same_damage() -> None:
    others = [b"another file" * 100]
    for mutation in fuzz_media.MUTATIONS:
        original = bytes(range(256)) * 8
        once, again = (
            mutation(bytearray(original), fuzz_media.Dice("1-1"), others) for _ in range(2)
        )
        assert once == again
