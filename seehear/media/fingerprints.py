"""Tell copies of a content from others that are merely like it, by what is seen, heard or read.

    picture   its layout in 32 x 32 colours: size, format, quality, thin borders, small crops
    sound     loudness of 24 bands, 16 times a second: level, codec, a second cut off
    film      small pictures over its whole length, and its sound
    text      a sample of its runs of four words

A fingerprint does not depend on the model. It is made while a file is decoded, and kept as bytes:

    | version, 1 byte | zlib: parts of | kind, 1 byte | length, uint32 | data | |

Content that says too little has no parts, and no copies: a picture of one colour, silence, a steady
tone, a text without words.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from seehear.media import fingerprint_audio as heard
from seehear.media import fingerprint_image as seen
from seehear.types import Floats

VERSION = 1
"""Change it whenever the same file gives other bytes: the next index run then makes them anew."""
NOTHING = bytes([VERSION]) + zlib.compress(b"")
"""The fingerprint of a content that says nothing."""

FRAME_SIDE = 16
MOST_FRAMES = 128
SHINGLE = 4
"""Words of a run."""
MOST_SHINGLES = 128
"""Runs that are kept of a text: those with the smallest hashes."""
SKETCH = 48
"""Low frequencies of a picture, or of the fine structure of a spectrum."""
SEEN_ALIKE, TOLD_ALIKE = 0.9, 0.5
"""Cosine of two sketches, of what is seen and of other content, from which on the fingerprints are
compared. Of 1,000 copies of pictures 998 have it."""
SEEN_BITS, HEARD_BITS, FLIPS = 18, 12, 4
"""Signs of a key, and how many of them are uncertain. A cut moves a spectrum most."""

SAME_FRAME = 0.9
SAME_FRAMES = 0.85
"""Share of the frames of both films that must have their like in the other."""
SAME_TEXT = 0.9
"""Estimated share of runs that two texts have in common."""
EXACT_BELOW = 32
"""Texts of fewer runs must have the same words."""

_HEAD = struct.Struct("<BI")
_IMAGE, _FRAMES, _AUDIO, _TEXT = range(1, 5)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W_]+")


_BITS = np.uint64(1) << np.arange(SEEN_BITS, dtype=np.uint64)
_BAND_NUMBERS = np.arange(12, dtype=np.uint64) << np.uint64(32)


@cache
def _bands() -> NDArray[np.int64]:
    """Return which frequencies make each band: int64 (12, SEEN_BITS), always the same."""
    return np.stack([np.random.default_rng(n).permutation(SKETCH)[:SEEN_BITS] for n in range(12)])


class Fingerprinter:
    """Make the fingerprint of one file from what its decoder sees. Give it all, in order."""

    def __init__(self) -> None:
        self._images: list[NDArray[np.uint8]] = []
        self._frames: list[tuple[float, NDArray[np.uint8]]] = []
        self._stride, self._seen = 1, 0
        self._audio: heard.Listener | None = None
        self._words: list[str] = []

    def image(self, pixels: NDArray[np.uint8]) -> None:
        """Take the picture of a file: uint8 (height, width, 3)."""
        planes = seen.planes(pixels)
        self._images = [seen.packed(seen.shrunk(planes, seen.SIDE))]
        inner = seen.trimmed(planes)
        if inner.shape != planes.shape:
            self._images.append(seen.packed(seen.shrunk(inner, seen.SIDE)))

    def frame(self, time_s: float, pixels: NDArray[np.uint8]) -> None:
        """Take a frame of a film; of a long one, every second, fourth, ... is kept."""
        if self._seen % self._stride == 0:
            planes = seen.planes(seen.shrunk(pixels.astype(np.float32), FRAME_SIDE))
            self._frames.append((time_s, seen.packed(planes)[..., 0]))
            if len(self._frames) > MOST_FRAMES:
                self._frames, self._stride = self._frames[::2], 2 * self._stride
        self._seen += 1

    def audio(
        self, blocks: Iterator[tuple[int, Floats]], rate_hz: int
    ) -> Iterator[tuple[int, Floats]]:
        """Listen to mono blocks, float32 (n,) with their positions, on their way."""
        self._audio = heard.Listener(rate_hz)
        for position, block in blocks:
            self._audio.hear(block)
            yield position, block

    def text(self, words: str) -> None:
        """Take the words of a text, or of its next page."""
        self._words += _WORD.findall(words.casefold())

    def data(self) -> bytes:
        """Return the fingerprint of what was given."""
        parts = b"".join(_part(_IMAGE, one) for one in self._images)
        if self._frames:
            times = np.array([at for at, _ in self._frames], dtype="<f4")
            shown = np.stack([one for _, one in self._frames])
            parts += _part(_FRAMES, times.tobytes() + shown.tobytes())
        if self._audio is not None:
            parts += _part(_AUDIO, self._audio.data())
        if self._words:
            parts += _part(_TEXT, _text_data(self._words))
        return bytes([VERSION]) + zlib.compress(parts)


@dataclass(frozen=True)
class Fingerprint:
    """What was kept of a file."""

    images: tuple[Floats, ...] = ()
    """Gray and two differences of colour, float32 (32, 32, 3), whole and without its border."""
    times_s: Floats | None = None
    frames: Floats | None = None
    """Grays of the frames of a film, float32 (n, 16, 16)."""
    audio: heard.AudioPrint | None = None
    text: NDArray[np.uint64] | None = None
    """Number of runs, hash of all words, then the smallest hashes of runs: uint64 (n,)."""

    @cached_property
    def sketches(self) -> Floats:
        """Return what proposes copies by a cosine of `least_cosine` or more: float32 (2, 48).

        Rows have length 1, or are zeros. A picture has one with its border and one without.
        """
        made: list[Floats] = []
        if self.text is not None:
            kept = self.text[2:] if len(self.text) > 2 else self.text[1:2]
            counts = np.bincount((kept % SKETCH).astype(np.int64), minlength=SKETCH)
            made.append((counts - counts.mean()).astype(np.float32))
        elif self.frames is not None:
            if len(told := self.frames[seen.structured(self.frames)]):
                made.append(seen.low_frequencies(seen.unit(told).mean(axis=0)))
        elif self.audio is not None:
            if self.audio.profile is not None:
                made.append(seen.low_frequencies(self.audio.profile))
        else:
            grays = [one[..., 0] for one in self.images]
            made += [seen.low_frequencies(gray) for gray in grays if seen.has_structure(gray)]
        rows = np.zeros((2, SKETCH), dtype=np.float32)
        for row, values in zip(rows, made, strict=False):
            row[:] = values / max(1e-6, float(np.linalg.norm(values)))
        return rows

    @property
    def least_cosine(self) -> float:
        """The cosine that the sketches of copies have at least."""
        return SEEN_ALIKE if self.images or self.frames is not None else TOLD_ALIKE

    @property
    def runs(self) -> NDArray[np.uint64] | None:
        """The hash of a text and its smallest ones of runs: texts with 90 % of them in common share
        one (prefix filtering, Chaudhuri et al., 2006). None for what is no text.
        """
        most = 1 + int((1 - SAME_TEXT) * MOST_SHINGLES)
        return None if self.text is None else self.text[1 : 2 + most]


def keys_of(sketches: Floats, bits: int, flips: int = 0) -> NDArray[np.uint64]:
    """Return keys of which copies share one: uint64 (n,).

    They are the signs of `bits` frequencies each (locality-sensitive hashing). Of each key, `flips`
    of its least certain signs are tried both ways (multi-probe, Lv et al., 2007).
    """
    kept = sketches[sketches.any(axis=1)][:, _bands()[:, :bits]]  # (sketches, bands, bits)
    signs = ((kept > 0) * _BITS[:bits]).sum(axis=-1, dtype=np.uint64)
    keys: NDArray[np.uint64] = (signs + _BAND_NUMBERS)[..., None]
    unsure = _BITS[np.argsort(np.abs(kept), axis=-1)]
    for at in range(flips):
        keys = np.concatenate([keys, keys ^ unsure[..., at, None]], axis=-1)
    return keys.reshape(-1)


def read(data: bytes) -> Fingerprint | None:
    """Return what was kept; None for another version, and for bytes that are damaged."""
    try:
        if not data or data[0] != VERSION:
            return None
        left, parts = zlib.decompress(data[1:]), dict[int, list[bytes]]()
        while left:
            kind, length = _HEAD.unpack_from(left)
            parts.setdefault(kind, []).append(left[_HEAD.size : _HEAD.size + length])
            left = left[_HEAD.size + length :]
        images = tuple(
            seen.unpacked(one).reshape(seen.SIDE, seen.SIDE, 3) for one in parts.get(_IMAGE, ())
        )
        times = frames = audio = text = None
        for one in parts.get(_FRAMES, ()):
            count = len(one) // (4 + FRAME_SIDE**2)
            times = np.frombuffer(one, "<f4", count)
            frames = np.frombuffer(one, np.uint8, offset=4 * count).astype(np.float32)
            frames = frames.reshape(count, FRAME_SIDE, FRAME_SIDE)
        for one in parts.get(_AUDIO, ()):
            audio = heard.read(one)
        for one in parts.get(_TEXT, ()):
            text = np.frombuffer(one, "<u8")
        return Fingerprint(images, times, frames, audio, text)
    except (zlib.error, struct.error, ValueError):
        return None


def agreement(one: Fingerprint | None, other: Fingerprint | None) -> float:
    """Return how well two fingerprints agree, up to 1, if they are of copies; otherwise 0.

    A film must agree in its pictures and in its sound, if it has one.
    """
    if one is None or other is None:
        return 0.0
    if one.text is not None or other.text is not None:
        return _same_text(one.text, other.text)
    if one.frames is not None or other.frames is not None:
        return min(_same_video(one, other), _same_track(one.audio, other.audio))
    if one.audio is not None or other.audio is not None:
        return heard.same_audio(one.audio, other.audio)
    return max((seen.same_image(a, b) for a in one.images for b in other.images), default=0.0)


def _same_track(one: heard.AudioPrint | None, other: heard.AudioPrint | None) -> float:
    """Compare the sound tracks of films: two that say nothing agree."""
    mute = [audio is None or audio.profile is None for audio in (one, other)]
    return 1.0 if all(mute) else heard.same_audio(one, other)


def _same_video(one: Fingerprint, other: Fingerprint) -> float:
    """Return the share of frames that have their like at the same time in the other film."""
    if one.frames is None or other.frames is None or one.times_s is None or other.times_s is None:
        return 0.0
    both = (one.frames, other.frames)
    a, b = (seen.unit(frames).reshape(-1, FRAME_SIDE**2) for frames in both)
    told_a, told_b = seen.structured(one.frames), seen.structured(other.frames)
    alike = a @ b.T
    same = (alike >= SAME_FRAME) & told_a[:, None] & told_b[None, :]
    dark = ~told_a[:, None] & ~told_b[None, :]
    near = (np.diff(one.times_s).max(initial=0.1) + np.diff(other.times_s).max(initial=0.1)) / 2
    best = 0.0
    for offset_s in np.arange(-heard.MOST_CUT_S, heard.MOST_CUT_S + 0.1, 0.25):
        apart = np.abs(one.times_s[:, None] + offset_s - other.times_s[None, :])
        there = apart <= max(0.26, near)
        shares = []
        for axis in (1, 0):
            met, found = there.any(axis=axis), (same & there).any(axis=axis)
            void = (dark & there).any(axis=axis) & ~found
            told = int((met & ~void).sum())
            enough = told and met.mean() >= SAME_FRAMES
            shares.append(int(found.sum()) / told if enough else 0.0)
        best = max(best, float(min(shares)))
    return best if best >= SAME_FRAMES else 0.0


def _same_text(one: NDArray[np.uint64] | None, other: NDArray[np.uint64] | None) -> float:
    if one is None or other is None:
        return 0.0
    if one[1] == other[1]:
        return 1.0
    if min(one[0], other[0]) < EXACT_BELOW:
        return 0.0
    both = np.union1d(one[2:], other[2:])[:MOST_SHINGLES]
    share = float((np.isin(both, one[2:]) & np.isin(both, other[2:])).mean())
    return share if share >= SAME_TEXT else 0.0


def _text_data(words: Sequence[str]) -> bytes:
    runs = {_hash(" ".join(words[i : i + SHINGLE])) for i in range(len(words) - SHINGLE + 1)}
    head = [len(runs), _hash(" ".join(words))]
    return np.array(head + sorted(runs)[:MOST_SHINGLES], dtype="<u8").tobytes()


def _hash(words: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=8).digest(), "big"
    )


def _part(kind: int, data: bytes | NDArray[np.uint8]) -> bytes:
    return _HEAD.pack(kind, len(bytes(data))) + bytes(data)
