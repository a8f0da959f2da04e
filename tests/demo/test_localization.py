"""What made a hit is shown at the right place, in compositions of the demo's media."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.bench_localization import share_of_photos, share_of_sounds
from seehear.encoders import load_model
from seehear.search.localization import locate_in_audio, locate_in_image
from seehear.types import AudioSample, ImageSample


def test_the_place_is_mostly_the_right_one(demo_media: Path) -> None:
    """Of every fifth composition; the benchmark measures all."""
    model = load_model("tiny", "cpu")
    assert share_of_photos(model, demo_media, every=5) >= 0.7
    assert share_of_sounds(model, demo_media, every=5) >= 0.7


def test_a_picture_of_nothing_and_a_short_sound_have_no_place() -> None:
    model = load_model("tiny", "cpu")
    grey = ImageSample(np.full((64, 64, 3), 128, np.uint8))
    heat = locate_in_image(model, grey, ["a dog"])
    assert heat is None or heat.shape == (12, 12)
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000 * 8).astype(np.float32)
    assert locate_in_audio(model, AudioSample(noise[:16_000], 16_000), ["rain"]) is None
    found = locate_in_audio(model, AudioSample(noise, 16_000), ["rain"])
    assert found is not None
    step_s, steps = found
    assert step_s * len(steps) == 8.0
    unknown = "der Hund läuft über die Wiese und bellt die Nachbarn an"
    assert locate_in_image(model, grey, [unknown]) is None
