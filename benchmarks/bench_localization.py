"""Measure whether what made a hit is shown at the right place (`seehear.search.localization`).

    python -m benchmarks.bench_localization             of the demo's photos and sounds

A picture is put together of four photos, each in one quarter; the words for one of them must be met
most in its quarter. A sound is put together of three, and the words for one must be met most in its
third. Every photo and sound is asked for in every place, beside others drawn at random.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import record
from seehear import media
from seehear.encoders import Model, load_model
from seehear.search.localization import locate_in_audio, locate_in_image
from seehear.types import AudioSample, ImageSample

MEDIA = Path(__file__).resolve().parents[1] / "demo" / "media"
PHOTOS = {
    "astronaut": "an astronaut", "brick": "a brick wall", "camera": "a man with a camera",
    "cat": "a cat", "clock": "a clock", "coffee": "a cup of coffee", "coins": "coins",
    "grass": "grass", "gravel": "gravel", "horse": "a horse", "moon": "the moon",
    "hubble_deep_field": "stars and galaxies in space", "motorcycle": "a motorcycle",
    "page": "a page of text", "rocket": "a rocket",
}  # fmt: skip
SOUNDS = {
    "birds_chirping": "birds chirping", "cat_meowing": "a cat meowing",
    "church_bell": "church bells ringing", "clock_ticking": "a clock ticking",
    "coins_jingling": "coins jingling", "motorcycle_engine": "a motorcycle engine",
    "piano_melody": "a piano melody", "rain": "rain", "rocket_launch": "a rocket launch",
    "sea_waves": "waves at the sea", "siren": "a siren",
}  # fmt: skip
SIDE_PX = 400
PIECE_S = 6.0
RATE_HZ = 16_000


def arranged(
    names: Sequence[str], places: int, seed: int = 0
) -> Iterator[tuple[str, int, list[str]]]:
    """Yield each name in each place beside others drawn at random: name, place, all names."""
    rng = random.Random(seed)
    for name in names:
        for place in range(places):
            others = rng.sample([one for one in names if one != name], places - 1)
            yield name, place, [*others[:place], name, *others[place:]]


def quarters(four: Sequence[ImageSample]) -> ImageSample:
    """Put four pictures together, each a square: above left, above right, below."""
    squares = []
    for image in four:
        height, width = image.pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        steps = np.arange(SIDE_PX) * side // SIDE_PX
        squares.append(image.pixels[top + steps][:, left + steps])
    rows = [np.concatenate(squares[n : n + 2], axis=1) for n in (0, 2)]
    return ImageSample(np.ascontiguousarray(np.concatenate(rows)))


def share_of_photos(model: Model, folder: Path, every: int = 1) -> float:
    """Return how often the words for a photo are met most in its quarter of a picture."""
    images = {name: media.load_image(folder / "photos" / f"{name}.jpg", SIDE_PX) for name in PHOTOS}
    right = []
    for name, place, four in [*arranged([*PHOTOS], 4)][::every]:
        heat = locate_in_image(model, quarters([images[one] for one in four]), [PHOTOS[name]])
        if heat is None:
            return 0.0
        half = len(heat) // 2
        sums = [heat[y : y + half, x : x + half].sum() for y in (0, half) for x in (0, half)]
        right.append(int(np.argmax(sums)) == place)
    return float(np.mean(right))


def share_of_sounds(model: Model, folder: Path, every: int = 1) -> float:
    """Return how often the words for a sound are met most in its third of a sound."""
    sounds = {
        name: media.load_audio(folder / "sounds" / f"{name}.wav", RATE_HZ, max_s=PIECE_S).waveform
        for name in SOUNDS
    }
    right = []
    for name, place, three in [*arranged([*SOUNDS], 3)][::every]:
        pieces = [np.resize(sounds[one], round(PIECE_S * RATE_HZ)) for one in three]
        found = locate_in_audio(model, AudioSample(np.concatenate(pieces), RATE_HZ), [SOUNDS[name]])
        if found is None:
            return 0.0
        thirds = [part.sum() for part in np.array_split(found[1], 3)]
        right.append(int(np.argmax(thirds)) == place)
    return float(np.mean(right))


def measure(model: Model, folder: Path = MEDIA) -> dict[str, Any]:
    """Return the share of right places for each kind, what chance would give, and of how many."""
    photos, sounds = share_of_photos(model, folder), share_of_sounds(model, folder)
    return {
        "photos": {"share": round(photos, 3), "chance": 0.25, "tries": 4 * len(PHOTOS)},
        "sounds": {"share": round(sounds, 3), "chance": 0.333, "tries": 3 * len(SOUNDS)},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bench_localization", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    found = measure(load_model("tiny", "cpu"))
    for kind, one in found.items():
        print(f"{kind}: {one['share']:.3f} of {one['tries']}, by chance {one['chance']:.2f}")
    record.keep("localization", found, chosen)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
