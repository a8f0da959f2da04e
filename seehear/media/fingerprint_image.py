"""The picture of a fingerprint: its layout in 32 x 32 colours, and when two are one picture."""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from seehear.types import Floats

SIDE = 32
"""Cells of a picture, to each side."""
LEAST_STRUCTURE = 4.0
"""Standard deviation of a picture's grays, of 255, and a third of it for its fine structure."""
SAME_IMAGE = 0.93
"""Correlation of two pictures laid over each other."""
SAME_DETAIL = 0.88
"""The same for their fine structure."""
SAME_DETAIL_CROPPED = 0.78
"""The same where one shows a little less, so that all edges moved."""
MOST_GRAY, MOST_COLOUR = 22.0, 25.0
"""Largest differences anywhere, of 255. JPEG at low quality stays below. Drawings on a plain
background may differ in a face or a hand alone, which counts little in a correlation."""
MOST_CROP = 0.1
LEAST_ALIKE = 0.35
"""Correlation of two pictures before one is laid over the other."""

_GRAY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_NARROW = (0.25, 0.5, 0.25)
_WIDE = (0.0625, 0.25, 0.375, 0.25, 0.0625)


def same_image(one: Floats, other: Floats) -> float:
    """Return how well two pictures of a fingerprint, float32 (32, 32, 3), agree, or 0."""
    if not (has_structure(one[..., 0]) and has_structure(other[..., 0])):
        return 0.0
    if float((unit(one[..., 0]) * unit(other[..., 0])).sum()) < LEAST_ALIKE:
        return 0.0
    laid, scales, shifts = _laid_over(one[..., 0], other)
    if max(abs(scale - 1) for scale in scales) > MOST_CROP:
        return 0.0
    inner = (slice(2, -2), slice(2, -2))  # what is outside the other picture is made up
    alike = float((unit(one[..., 0][inner]) * unit(laid[..., 0][inner])).sum())
    grain = [_fine(gray)[inner] for gray in (one[..., 0], laid[..., 0])]
    detail = float((unit(grain[0]) * unit(grain[1])).sum())
    moved = max(abs(scale - 1) * SIDE / 2 for scale in scales) + max(map(abs, shifts))
    least = SAME_DETAIL if moved < 0.25 else SAME_DETAIL_CROPPED
    if alike < SAME_IMAGE or detail < least:
        return 0.0
    return min(1.0, alike) if _differs_nowhere(one - laid, inner) else 0.0


def _differs_nowhere(difference: Floats, inner: tuple[slice, slice]) -> bool:
    gray, *colours = np.moveaxis(difference, -1, 0)
    most = max(float(np.abs(_blurred(plane)[inner]).max()) for plane in colours)
    return most <= MOST_COLOUR and float(np.abs(_blurred(gray, _NARROW)[inner]).max()) <= MOST_GRAY


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


def planes(pixels: NDArray[np.uint8] | Floats) -> Floats:
    """Return gray and two differences of colour of RGB, float32 (height, width, 3)."""
    colours = pixels.astype(np.float32)
    gray = colours @ _GRAY
    others = (colours[..., 2] - gray) * 0.564, (colours[..., 0] - gray) * 0.713
    return np.stack([gray, *others], axis=-1)


def packed(planes: Floats) -> NDArray[np.uint8]:
    return np.clip(np.rint(planes + np.array((0, 128, 128), np.float32)), 0, 255).astype(np.uint8)


def unpacked(data: bytes) -> Floats:
    planes = np.frombuffer(data, np.uint8).astype(np.float32).reshape(-1, 3)
    return planes - np.array((0, 128, 128), dtype=np.float32)


def shrunk(planes: Floats, side: int) -> Floats:
    """Return the means of a grid of cells, float32 (side, side, 3), also within pixels."""
    height, width, depth = planes.shape
    rows = _cells(height, side) @ planes.reshape(height, width * depth)
    means: Floats = _cells(width, side) @ rows.reshape(side, width, depth)
    return means


@lru_cache(maxsize=16)
def _cells(length: int, side: int) -> Floats:
    """Return what each of `length` pixels adds to the mean of each cell, float32 (side, length)."""
    edges, pixels = np.linspace(0, length, side + 1)[:, None], np.arange(length)
    inside = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    weights: Floats = (np.maximum(inside, 0) * (side / length)).astype(np.float32)
    return weights


def trimmed(planes: Floats) -> Floats:
    """Return a picture without a border of one colour, up to a fifth of each side."""
    box = []
    for axis in (0, 1):
        lines = np.moveaxis(planes, axis, 0)
        for side in (lines, lines[::-1]):
            limit, count = len(lines) // 5, 0
            plain = np.quantile(side[0], 0.5, axis=0)
            while count < limit and np.abs(side[count] - plain).max() <= 16:
                count += 1
            box.append(count)
    top, bottom, left, right = box
    height, width = planes.shape[:2]
    if height - top - bottom < 16 or width - left - right < 16:
        return planes
    return planes[top : height - bottom, left : width - right]


def unit(grays: Floats) -> Floats:
    """Return grays, float32 (..., n, n), with mean 0 and length 1; zeros where they are flat."""
    units: Floats = grays - grays.mean(axis=(-2, -1), keepdims=True)
    units /= np.maximum(np.linalg.norm(units, axis=(-2, -1), keepdims=True), 1e-6)
    return units


def structured(frames: Floats) -> NDArray[np.bool_]:
    return np.asarray(frames.std(axis=(-2, -1)) >= LEAST_STRUCTURE)


def has_structure(gray: Floats) -> bool:
    gray = np.ascontiguousarray(gray)
    return _deviation(gray) >= LEAST_STRUCTURE and _deviation(_fine(gray)) >= LEAST_STRUCTURE / 3


def _deviation(gray: Floats) -> float:
    """Return the standard deviation, in a tenth of the time of `gray.std()`."""
    flat = gray.reshape(-1)
    apart = np.subtract(flat, flat.sum() / len(flat), dtype=np.float32)
    return math.sqrt(float(apart @ apart) / len(flat))


def _blurred(gray: Floats, weights: tuple[float, ...] = _WIDE) -> Floats:
    """Return a square picture blurred along both sides, as if its edges went on."""
    along = _blur(len(gray), weights)
    return np.asarray(along @ gray @ along.T, dtype=np.float32)


@cache
def _blur(side: int, weights: tuple[float, ...]) -> Floats:
    """Return what each cell of a line adds to each blurred one: float32 (side, side)."""
    along = np.zeros((side, side), dtype=np.float32)
    for at, weight in enumerate(weights):
        from_ = np.clip(np.arange(side) + at - len(weights) // 2, 0, side - 1)
        np.add.at(along, (np.arange(side), from_), np.float32(weight))
    return along


def _fine(gray: Floats) -> Floats:
    return gray - _blurred(gray)


def low_frequencies(values: Floats) -> Floats:
    """Return the lowest frequencies of rows (n,) or pictures (n, n): float32 (48,), not the mean.

    They change little with size, quality and small crops.
    """
    waves, flat = _waves(len(values)), values.ndim == 1
    turned = waves @ values if flat else waves[:8] @ values @ waves[:8].T
    order = np.arange(49) if flat else _DIAGONALS
    low: Floats = turned.reshape(-1)[order[1:]].astype(np.float32)
    return low


_DIAGONALS = np.argsort(np.add.outer(np.arange(8), np.arange(8)).reshape(-1), kind="stable")[:49]


@cache
def _waves(count: int) -> Floats:
    """Return the first 49 rows of a discrete cosine transform, float32 (49, count)."""
    at = np.arange(count, dtype=np.float32) + 0.5
    return np.cos(np.pi / count * np.arange(49, dtype=np.float32)[:, None] * at)
