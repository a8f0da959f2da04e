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
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seehear.media import fingerprint_audio as heard
from seehear.types import Floats

VERSION = 1
"""Change it whenever the same file gives other bytes: the next index run then makes them anew."""
NOTHING = bytes([VERSION]) + zlib.compress(b"")
"""The fingerprint of a content that says nothing."""

SIDE = 32
"""Cells of a picture, to each side."""
FRAME_SIDE = 16
MOST_FRAMES = 128
SHINGLE = 4
"""Words of a run."""
MOST_SHINGLES = 128
"""Runs that are kept of a text: those with the smallest hashes."""
PROPOSE = 0.35
"""Cosine of two sketches from which on the fingerprints are compared."""

SKETCH = FRAME_SIDE**2

LEAST_STRUCTURE = 4.0
"""Standard deviation of a picture's grays, of 255, and a third of it for its fine structure."""
SAME_IMAGE = 0.93
"""Correlation of two pictures laid over each other."""
SAME_DETAIL = 0.88
"""The same for their fine structure."""
SAME_DETAIL_CROPPED = 0.78
"""The same where one shows a little less, so that all edges moved."""
MOST_COLOUR = 25.0
"""Largest difference of colour anywhere, of 255. JPEG at low quality stays below."""
MOST_CROP = 0.1
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
_GRAY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


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
        planes = _planes(pixels)
        self._images = [_packed(_shrunk(planes, SIDE))]
        inner = _trimmed(planes)
        if inner.shape != planes.shape:
            self._images.append(_packed(_shrunk(inner, SIDE)))

    def frame(self, time_s: float, pixels: NDArray[np.uint8]) -> None:
        """Take a frame of a film; of a long one, every second, fourth, ... is kept."""
        if self._seen % self._stride == 0:
            self._frames.append((time_s, _packed(_shrunk(_planes(pixels), FRAME_SIDE))[..., 0]))
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
    def sketch(self) -> Floats | None:
        """Return what proposes copies by a cosine, float32 (256,) of length 1; None for nothing."""
        made: Floats | None = None
        if self.text is not None:
            kept = self.text[2:] if len(self.text) > 2 else self.text[1:2]
            made = np.bincount((kept % 256).astype(np.int64), minlength=256).astype(np.float32)
        elif self.frames is not None:
            told = self.frames[_structured(self.frames)]
            made = _unit(told).mean(axis=0) if len(told) else None
        elif self.audio is not None:
            made = self.audio.profile
        elif self.images and _has_structure(self.images[-1][..., 0]):
            gray = self.images[-1][..., 0]
            made = gray.reshape(16, 2, 16, 2).mean(axis=(1, 3))
            made = made - made.mean()
        if made is None or not (length := float(np.linalg.norm(made))):
            return None
        return (made / length).reshape(-1)


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
        images = tuple(_unpacked(one).reshape(SIDE, SIDE, 3) for one in parts.get(_IMAGE, ()))
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
    return max((_same_image(a, b) for a in one.images for b in other.images), default=0.0)


def _same_track(one: heard.AudioPrint | None, other: heard.AudioPrint | None) -> float:
    """Compare the sound tracks of films: two that say nothing agree."""
    mute = [audio is None or audio.profile is None for audio in (one, other)]
    return 1.0 if all(mute) else heard.same_audio(one, other)


def _same_image(one: Floats, other: Floats) -> float:
    if not (_has_structure(one[..., 0]) and _has_structure(other[..., 0])):
        return 0.0
    if float((_unit(one[..., 0]) * _unit(other[..., 0])).sum()) < PROPOSE:
        return 0.0
    laid, scales, shifts = _laid_over(one[..., 0], other)
    if max(abs(scale - 1) for scale in scales) > MOST_CROP:
        return 0.0
    inner = (slice(2, -2), slice(2, -2))  # what is outside the other picture is made up
    alike = float((_unit(one[..., 0][inner]) * _unit(laid[..., 0][inner])).sum())
    grain = [_fine(gray)[inner] for gray in (one[..., 0], laid[..., 0])]
    detail = float((_unit(grain[0]) * _unit(grain[1])).sum())
    moved = max(abs(scale - 1) * SIDE / 2 for scale in scales) + max(map(abs, shifts))
    least = SAME_DETAIL if moved < 0.25 else SAME_DETAIL_CROPPED
    if alike < SAME_IMAGE or detail < least:
        return 0.0
    for plane in (1, 2):
        if np.abs(_blurred((one - laid)[..., plane])[inner]).max() > MOST_COLOUR:
            return 0.0
    return min(1.0, alike)


def _laid_over(
    one: Floats, other: Floats
) -> tuple[Floats, tuple[float, float], tuple[float, float]]:
    """Lay a picture over a gray one: scale and shift it in each direction for the least difference.

    By four steps of Gauss and Newton (Lucas and Kanade, 1981); brightness may differ.
    """
    centred = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    scale, shift = np.ones(2), np.zeros(2)
    for step in range(5):
        laid = _resampled(other, centred, scale, shift)
        if step == 4:
            break
        down, right = np.gradient(laid[..., 0])
        columns = (right * centred, down * centred[:, None], right, down)
        plain = (np.ones_like(down), laid[..., 0])
        design = np.stack([column.reshape(-1) for column in (*columns, *plain)], axis=1)
        square = (design.T @ design).astype(np.float64)
        square[np.diag_indices(6)] = square[np.diag_indices(6)] * 1.001 + 1e-6
        wanted = np.linalg.solve(square, design.T @ (one - laid[..., 0]).reshape(-1))
        scale += np.clip(wanted[:2], -0.05, 0.05)
        shift += np.clip(wanted[2:4], -1.2, 1.2)
    return laid, (float(scale[0]), float(scale[1])), (float(shift[0]), float(shift[1]))


def _resampled(
    planes: Floats, centred: Floats, scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> Floats:
    axes = []
    for axis in (0, 1):
        at = np.clip(centred * scale[axis] + shift[axis] + (SIDE - 1) / 2, 0, SIDE - 1.001)
        low = at.astype(np.int64)
        axes.append((low, (at - low).astype(np.float32)))
    (columns, right), (rows, down) = axes
    between = planes[rows] + (planes[rows + 1] - planes[rows]) * down[:, None, None]
    left = between[:, columns]
    laid: Floats = left + (between[:, columns + 1] - left) * right[None, :, None]
    return laid


def _same_video(one: Fingerprint, other: Fingerprint) -> float:
    """Return the share of frames that have their like at the same time in the other film."""
    if one.frames is None or other.frames is None or one.times_s is None or other.times_s is None:
        return 0.0
    a, b = one.frames.reshape(-1, FRAME_SIDE**2), other.frames.reshape(-1, FRAME_SIDE**2)
    told_a, told_b = _structured(one.frames), _structured(other.frames)
    alike = _unit(one.frames).reshape(len(a), -1) @ _unit(other.frames).reshape(len(b), -1).T
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


def _planes(pixels: NDArray[np.uint8]) -> Floats:
    """Return gray and two differences of colour, float32 (height, width, 3)."""
    colours = pixels.astype(np.float32)
    gray = colours @ _GRAY
    others = (colours[..., 2] - gray) * 0.564, (colours[..., 0] - gray) * 0.713
    return np.stack([gray, *others], axis=-1)


def _packed(planes: Floats) -> NDArray[np.uint8]:
    return np.clip(np.rint(planes + np.array((0, 128, 128), np.float32)), 0, 255).astype(np.uint8)


def _unpacked(data: bytes) -> Floats:
    planes = np.frombuffer(data, np.uint8).astype(np.float32).reshape(-1, 3)
    return planes - np.array((0, 128, 128), dtype=np.float32)


def _shrunk(planes: Floats, side: int) -> Floats:
    """Return the means of a grid of cells, float32 (side, side, 3), also within pixels."""
    for axis in (0, 1):
        lines = np.moveaxis(planes, axis, 0)
        total = np.concatenate([lines[:1] * 0, np.cumsum(lines, axis=0, dtype=np.float64)])
        edges = np.linspace(0, len(lines), side + 1)
        low = np.minimum(edges.astype(np.int64), len(lines) - 1)
        part = (edges - low).reshape(-1, *[1] * (lines.ndim - 1))
        sums = total[low] + (total[low + 1] - total[low]) * part
        planes = np.moveaxis(np.diff(sums, axis=0) * (side / len(lines)), 0, axis)
    return planes.astype(np.float32)


def _trimmed(planes: Floats) -> Floats:
    """Return a picture without a border of one colour, up to a fifth of each side."""
    box = []
    for axis in (0, 1):
        lines = np.moveaxis(planes, axis, 0)
        for side in (lines, lines[::-1]):
            limit, count = len(lines) // 5, 0
            plain = np.median(side[0], axis=0)
            while count < limit and np.abs(side[count] - plain).max() <= 16:
                count += 1
            box.append(count)
    top, bottom, left, right = box
    height, width = planes.shape[:2]
    if height - top - bottom < 16 or width - left - right < 16:
        return planes
    return planes[top : height - bottom, left : width - right]


def _unit(grays: Floats) -> Floats:
    """Return grays, float32 (..., n, n), with mean 0 and length 1; zeros where they are flat."""
    units: Floats = grays - grays.mean(axis=(-2, -1), keepdims=True)
    units /= np.maximum(np.linalg.norm(units, axis=(-2, -1), keepdims=True), 1e-6)
    return units


def _structured(frames: Floats) -> NDArray[np.bool_]:
    return np.asarray(frames.std(axis=(-2, -1)) >= LEAST_STRUCTURE)


def _has_structure(gray: Floats) -> bool:
    return bool(gray.std() >= LEAST_STRUCTURE and _fine(gray).std() >= LEAST_STRUCTURE / 3)


def _blurred(gray: Floats) -> Floats:
    padded, weights = np.pad(gray, 2, mode="edge"), np.array([1, 4, 6, 4, 1], np.float32) / 16
    rows = np.zeros((len(gray), len(padded)), dtype=np.float32)
    blurred = np.zeros_like(gray)
    for at, weight in enumerate(weights):
        rows += weight * padded[at : at + len(gray)]
    for at, weight in enumerate(weights):
        blurred += weight * rows[:, at : at + len(gray)]
    return blurred


def _fine(gray: Floats) -> Floats:
    return gray - _blurred(gray)
