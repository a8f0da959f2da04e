"""Long sounds cut into blocks: at their quietest moments, with every sample once."""

import numpy as np
import pytest

from seehear.errors import UsageError
from seehear.readers import SAMPLE_RATE_HZ, audio_blocks, open_reader
from seehear.readers.fake import say
from seehear.types import AudioSample


def test_a_long_sound_is_cut_in_a_pause_and_keeps_every_sample() -> None:
    sound = np.ones(100 * SAMPLE_RATE_HZ, dtype=np.float32)
    sound[55 * SAMPLE_RATE_HZ : 56 * SAMPLE_RATE_HZ] = 0
    pieces = [(at * 2.5, part) for at, part in enumerate(np.split(sound, 40))]
    blocks = list(audio_blocks(pieces, most_s=60.0))
    assert np.array_equal(np.concatenate([block.waveform for _, block in blocks]), sound)
    assert [start_s for start_s, _ in blocks] == pytest.approx([0.0, 55.95], abs=0.2)
    assert all(block.duration_s <= 60.0 for _, block in blocks)


def test_a_hole_begins_a_new_block_and_what_overlaps_is_dropped() -> None:
    second = np.arange(SAMPLE_RATE_HZ, dtype=np.float32)
    blocks = list(audio_blocks([(0.0, second), (0.5, second), (9.0, second)]))
    assert [(start_s, block.duration_s) for start_s, block in blocks] == [(0.0, 1.5), (9.0, 1.0)]
    assert blocks[0][1].waveform[SAMPLE_RATE_HZ] == second[SAMPLE_RATE_HZ // 2]


def test_what_is_said_across_many_blocks_is_heard_at_its_time() -> None:
    sound = say("one two three four five", 1.0).waveform
    pieces = [(100.0 + at / 4, part) for at, part in enumerate(np.split(sound, 10))]
    pieces = [
        (100.0 + sum(len(earlier) for _, earlier in pieces[:at]) / SAMPLE_RATE_HZ, part)
        for at, (_, part) in enumerate(pieces)
    ]
    reading = open_reader("speech", model="fake").hear(audio_blocks(pieces, most_s=1.5))
    words = [word for line in reading.lines for word in line.words]
    assert [word for word, _, _ in words] == ["one", "two", "three", "four", "five"]
    assert words[0][1] == pytest.approx(101.0)


def test_a_block_of_another_rate_or_length_is_refused() -> None:
    reader = open_reader("speech", model="fake")
    with pytest.raises(UsageError, match="16000 Hz, not 8000 Hz"):
        reader.hear([(0.0, AudioSample(np.zeros(8000, np.float32), 8000))])
    long = AudioSample(np.zeros(602 * SAMPLE_RATE_HZ, np.float32), SAMPLE_RATE_HZ)
    with pytest.raises(UsageError, match="longer than 600 s"):
        reader.hear([(0.0, long)])
