"""Measure near-duplicates: copies that are found, and different contents that are called copies.

    python -m benchmarks.bench_copies --data DIR [--each N] [--changed N]

`DIR` has folders `images`, `audio` and `text`: tar files of pictures and sounds, and gzipped lines
of text. Of each tar `--each` files are compared with all others of their kind. Of `--changed` files
of each kind copies are made, to be found by the rule that `seehear duplicates` and searches use.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageOps

from seehear import media
from seehear.errors import MediaError
from seehear.media import decode
from seehear.media.fingerprints import Fingerprint, Fingerprinter, agreement, read
from seehear.media.media_info import probe_open
from seehear.search.dedup import Proposals
from seehear.types import Floats, SampleSpec

SPEC = SampleSpec()
RATE_HZ = SPEC.sample_rate_hz
CUT_FROM_S = 4.0
"""A second is cut off sounds of this length and more; it is half of shorter ones."""
NAMED = 25


def fingerprint(content: bytes) -> Fingerprint | None:
    """Return the fingerprint of a file's bytes, as an index run makes it."""
    made = Fingerprinter()
    with decode.recognised(content) as item:
        probe_open(item)
        for _ in decode.samples_open(item, SPEC, made):
            pass
    return read(made.data())


def files(folder: Path, each: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes of the first files of each tar."""
    for path in sorted(folder.glob("*.tar")):
        count = 0
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json") or count >= each:
                    continue
                content = tar.extractfile(member)
                if content is not None:
                    count += 1
                    yield f"{path.stem}/{member.name}", content.read()


def picture(content: bytes) -> Image.Image:
    shown = Image.open(io.BytesIO(content)).convert("RGBA")
    white = Image.new("RGBA", shown.size, "white")
    return Image.alpha_composite(white, shown).convert("RGB")


def written(shown: Image.Image, form: str = "PNG", quality: int = 90) -> bytes:
    file = io.BytesIO()
    shown.save(file, form, quality=quality)
    return file.getvalue()


def cropped(shown: Image.Image, share: float, *, one_side: bool = False) -> Image.Image:
    across, down = round(share * shown.width / 2), round(share * shown.height / 2)
    if one_side:
        return shown.crop((2 * across, 0, shown.width, shown.height - 2 * down))
    return shown.crop((across, down, shown.width - across, shown.height - down))


PICTURES: dict[str, Callable[[Image.Image], bytes]] = {
    "half the size": lambda one: written(one.resize((one.width // 2, one.height // 2))),
    "other format (WebP)": lambda one: written(one, "WEBP"),
    "JPEG of quality 40": lambda one: written(one, "JPEG", 40),
    "half the size, quality 40": lambda one: written(
        one.resize((one.width // 2, one.height // 2)), "JPEG", 40
    ),
    "3 % cropped": lambda one: written(cropped(one, 0.03)),
    "3 % cropped on one side": lambda one: written(cropped(one, 0.03, one_side=True)),
    "thin border": lambda one: written(ImageOps.expand(one, 3, "black")),
}


def waveform(content: bytes) -> Floats:
    return media.load_audio(content, RATE_HZ, max_s=600.0).waveform


def encoded(wave: Floats, form: str = "wav", codec: str = "pcm_s16le", rate: int = 0) -> bytes:
    """Return a sound as a file, at `rate` bits a second."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=RATE_HZ)
        stream.layout = "mono"
        if rate:
            stream.bit_rate = rate
        resampler = av.AudioResampler(stream.codec_context.format.name, "mono", RATE_HZ)
        for at in range(0, len(wave), 1152):
            frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1152], "flt", "mono")
            frame.rate, frame.pts = RATE_HZ, at
            for one in resampler.resample(frame):
                container.mux(stream.encode(one))
        container.mux(stream.encode(None))
    return file.getvalue()


SOUNDS: dict[str, Callable[[Floats], bytes | None]] = {
    "64 kbit/s (MP3)": lambda wave: encoded(wave, "mp3", "libmp3lame", 64_000),
    "half the level": lambda wave: encoded(0.5 * wave),
    "one second cut off": lambda wave: (
        encoded(wave[RATE_HZ:]) if len(wave) >= CUT_FROM_S * RATE_HZ else None
    ),
    "64 kbit/s, half the level": lambda wave: encoded(0.5 * wave, "mp3", "libmp3lame", 64_000),
}


def false_groups(names: list[str], prints: list[Fingerprint | None]) -> None:
    """Print how many pairs of different contents are called copies."""
    found: list[tuple[float, str, str]] = []
    began, proposed = time.process_time(), 0
    proposals, earlier = Proposals(prints), np.zeros(len(prints), dtype=np.bool_)
    for at, print_ in enumerate(prints):
        others = proposals.find(at, earlier).tolist()
        proposed += len(others)
        agreed = [agreement(print_, prints[other]) for other in others]
        found += [
            (how_well, names[at], names[other])
            for other, how_well in zip(others, agreed, strict=True)
            if how_well
        ]
        earlier[at] = True
    spent = time.process_time() - began
    told = sum(print_ is not None and bool(print_.sketches.any()) for print_ in prints)
    print(
        f"  {len(names)} contents, {told} with a fingerprint, {told * (told - 1) // 2:,} pairs, "
        f"{proposed:,} compared in {spent:.1f} s: {len(found)} pairs are called copies"
    )
    for how_well, first, second in sorted(found, reverse=True)[:NAMED]:
        print(f"    {how_well:.3f} {first}  {second}")


def share_found(title: str, pairs: list[tuple[Fingerprint | None, Fingerprint | None]]) -> None:
    first = np.array([True, False])
    met = [len(Proposals(pair).find(1, first)) > 0 and agreement(*pair) > 0 for pair in pairs]
    print(f"  {title}: {np.mean(met):.3f} of {len(met)}")


def measure(folder: Path, each: int, changed: int, kind: str) -> None:
    names, prints, contents, spent = [], [], [], 0.0
    for name, content in files(folder / kind, each):
        began = time.process_time()
        try:
            made = fingerprint(content)
        except MediaError:
            continue
        spent += time.process_time() - began
        names.append(name)
        prints.append(made)
        contents.append(content)
    print(f"{kind}, {1000 * spent / max(1, len(names)):.1f} ms to decode and mark one")
    false_groups(names, prints)
    drawn = np.random.default_rng(0).permutation(len(names))[:changed].tolist()
    pairs: dict[str, list[tuple[Fingerprint | None, Fingerprint | None]]] = {}
    for at in drawn:
        print_ = prints[at]
        if print_ is None or not print_.sketches.any():
            continue
        for title, change in (PICTURES if kind == "images" else SOUNDS).items():
            plain = picture(contents[at]) if kind == "images" else waveform(contents[at])
            other = change(plain)  # type: ignore[arg-type]
            if other is not None:
                pairs.setdefault(title, []).append((print_, fingerprint(other)))
    for title, found in pairs.items():
        share_found(title, found)


def measure_texts(folder: Path, most: int) -> None:
    names, prints = [], []
    for path in sorted((folder / "text").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in zip(range(most), lines, strict=False):
                made = Fingerprinter()
                made.text(line)
                names.append(f"{path.stem}:{number} {line.strip()[:60]}")
                prints.append(read(made.data()))
    print("text")
    false_groups(names, prints)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--each", type=int, default=100)
    parser.add_argument("--changed", type=int, default=200)
    options = parser.parse_args()
    for kind in ("images", "audio"):
        measure(options.data, options.each, options.changed, kind)
    measure_texts(options.data, 20 * options.each)


if __name__ == "__main__":
    main()
