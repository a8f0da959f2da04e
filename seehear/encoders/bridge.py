"""Fit a linear map from one embedding space into another, from texts alone.

Both spaces have a text tower. Both towers embed the same sentences, which gives pairs (x, y). A
ridge regression from x to y then maps anything from the first space into the second, sounds
included, although no sound was ever paired with an image.

Vectors of sounds are not where vectors of texts are: in a contrastive space each modality fills a
cone of its own, and a sound is its text plus a constant offset, the modality gap (Liang et al.
2022, "Mind the Gap"), with less spread along the directions in which texts differ. Three choices
handle this:

    centred      the mean of the texts is subtracted on both sides, so that the map only uses
                 directions in which texts vary. The gap is nearly orthogonal to those, and a
                 ridge gives directions without variance no weight, so the offset mostly vanishes
                 instead of moving every sound in the same wrong direction.
    ridge        strength chosen by the cosine on held-out sentences.
    radius       mapped vectors get the distance from the mean that texts of the target space
                 have. Without this, sounds (with less spread, and shrunk by the ridge) would
                 crowd around the mean, and the image nearest to the mean would always win.

Limit: the map cannot add what the first space does not know. Two sounds that its text tower
describes in the same way get the same vector.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seehear.config import default_cache
from seehear.encoders.base import Encoder, normalised
from seehear.encoders.captions import DEFAULT_DIGEST, bridge_captions, captions_digest
from seehear.errors import ModelIntegrityError, SpaceMismatchError
from seehear.files import write_whole
from seehear.types import EmbeddingSpace, Modality, Vectors

METHOD = 1
"""Increase it when the way of fitting changes: it is part of the revision."""

HELD_OUT = 0.1
_STRENGTHS = tuple(10.0**exponent for exponent in np.arange(-5.0, 2.1, 0.5))
_BATCH = 64

BridgeProgress = Callable[[str, int, int], None]
"""Called with a description of the work, the amount done, and the total."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a bridge maps sentences that it was not fitted on."""

    strength: float
    """Ridge strength, relative to the mean variance of a source dimension."""
    cosine: float
    """Mean cosine between a mapped sentence and its own embedding in the target space."""
    recall_at_1: float
    """Share of held-out sentences whose nearest neighbour after the map is themselves."""
    held_out: int


@dataclass(frozen=True, slots=True)
class Bridge:
    """Maps vectors of `source` into `target`.

    `weight` is float32 (source dim, target dim); the means are float32 (dim,). `revision` names
    what else the map was made from, besides the two spaces.
    """

    source: EmbeddingSpace
    target: EmbeddingSpace
    revision: str
    weight: NDArray[np.float32]
    source_mean: NDArray[np.float32]
    target_mean: NDArray[np.float32]
    radius: float
    fit: Fit

    def __call__(self, vectors: Vectors) -> Vectors:
        """Map float32 (n, source dim) to float32 (n, target dim), L2-normalised.

        Rows of zeros stay zeros. Raises SpaceMismatchError for rows of another length.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.source.dim:
            raise SpaceMismatchError(
                f"a bridge from {self.source.key} was given vectors of shape {vectors.shape}"
            )
        moved = normalised((vectors - self.source_mean) @ self.weight)
        there = normalised(self.target_mean + self.radius * moved)
        there[~vectors.any(axis=1)] = 0.0
        return there


def fit_bridge(
    source: Encoder,
    target: Encoder,
    captions: Sequence[str] | None = None,
    progress: BridgeProgress | None = None,
) -> Bridge:
    """Fit a bridge from one encoder's space to another's on sentences that both embed."""
    sentences = bridge_captions() if captions is None else captions
    x = _embed(source, sentences, progress)
    y = _embed(target, sentences, progress)
    return bridge_from_pairs(source.space, target.space, x, y, revision_for(captions))


def revision_for(captions: Sequence[str] | None) -> str:
    """Return what identifies a bridge besides its spaces: method and sentences (None: default)."""
    digest = DEFAULT_DIGEST if captions is None else captions_digest(tuple(captions))
    return f"{METHOD}-{digest}"


def bridge_from_pairs(
    source: EmbeddingSpace, target: EmbeddingSpace, x: Vectors, y: Vectors, revision: str
) -> Bridge:
    """Fit a bridge on paired rows: x float32 (n, source dim), y float32 (n, target dim).

    Raises ModelIntegrityError where the result has values that are NaN or infinite.
    """
    held = np.zeros(len(x), dtype=bool)
    held[:: round(1 / HELD_OUT)] = True
    strength, fit = _choose_strength(x, y, held)
    weight, x_mean, y_mean, radius = _solve(x, y, (strength,))[0]
    bridge = Bridge(source, target, revision, weight, x_mean, y_mean, radius, fit)
    if not np.isfinite(weight).all():
        raise ModelIntegrityError(
            f"the bridge from {source.name} to {target.name} has values that are NaN or infinite"
        )
    return bridge


def cached_bridge(
    source: Encoder,
    target: Encoder,
    folder: Path | None = None,
    captions: Sequence[str] | None = None,
    progress: BridgeProgress | None = None,
) -> Bridge:
    """Read the bridge between two encoders from the cache folder, or fit and store it.

    A file that does not verify is fitted again, and a folder that cannot be written is ignored:
    the file is a cache. `folder` None means the per-user cache folder.
    """
    revision = revision_for(captions)
    folder = default_cache() / "bridges" if folder is None else folder
    path = folder / file_name(source.space, target.space, revision)
    try:
        return load_bridge(path, source.space, target.space, revision)
    except (ModelIntegrityError, OSError):
        bridge = fit_bridge(source, target, captions, progress)
    with contextlib.suppress(OSError):
        save_bridge(bridge, path)
    return bridge


def file_name(source: EmbeddingSpace, target: EmbeddingSpace, revision: str) -> str:
    """Return a name with both spaces and their revisions, valid on every file system."""
    sides = (re.sub(r"[^A-Za-z0-9.]+", "-", space.key).strip("-") for space in (source, target))
    return f"{'--to--'.join(sides)}--{revision}.safetensors"


def save_bridge(bridge: Bridge, path: Path) -> None:
    """Write a bridge in one step: a reader sees the complete file or no file."""
    from safetensors.numpy import save

    tensors = {
        "weight": np.ascontiguousarray(bridge.weight),
        "source_mean": bridge.source_mean,
        "target_mean": bridge.target_mean,
        "radius": np.array([bridge.radius], dtype=np.float32),
    }
    fit = bridge.fit
    header = {
        "source": bridge.source.key,
        "target": bridge.target.key,
        "revision": bridge.revision,
        "fit": json.dumps([fit.strength, fit.cosine, fit.recall_at_1, fit.held_out]),
        "sha256": _digest(tensors),
    }
    write_whole(path, [save(tensors, metadata=header)])


def load_bridge(
    path: Path, source: EmbeddingSpace, target: EmbeddingSpace, revision: str
) -> Bridge:
    """Read a bridge; verify that it joins these spaces and that its numbers are as written.

    Raises ModelIntegrityError for a damaged file or one of other spaces, OSError where it cannot be
    read.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        identity = (header["source"], header["target"], header["revision"])
        whole = header["sha256"] == _digest(tensors)
        strength, cosine, recall, held_out = json.loads(header["fit"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelIntegrityError(f"{path} is not a bridge that can be read: {error}") from None
    if not whole or identity != (source.key, target.key, revision):
        raise ModelIntegrityError(f"{path} is damaged or joins other spaces")
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if shapes != {
        "weight": (source.dim, target.dim),
        "source_mean": (source.dim,),
        "target_mean": (target.dim,),
        "radius": (1,),
    }:
        raise ModelIntegrityError(f"{path} holds arrays of other shapes than the spaces have")
    return Bridge(
        source,
        target,
        revision,
        tensors["weight"],
        tensors["source_mean"],
        tensors["target_mean"],
        float(tensors["radius"][0]),
        Fit(strength, cosine, recall, held_out),
    )


def _digest(tensors: dict[str, NDArray[np.float32]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tensors[name].shape}{tensors[name].dtype}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()


def _embed(encoder: Encoder, sentences: Sequence[str], progress: BridgeProgress | None) -> Vectors:
    what = f"fitting the bridge: texts through {encoder.space.name}"
    rows = []
    for start in range(0, len(sentences), _BATCH):
        rows.append(encoder.encode(Modality.TEXT, sentences[start : start + _BATCH]))
        if progress is not None:
            progress(what, min(start + _BATCH, len(sentences)), len(sentences))
    return np.concatenate(rows)


Solution = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], float]


def _choose_strength(x: Vectors, y: Vectors, held: NDArray[np.bool_]) -> tuple[float, Fit]:
    """Choose the ridge strength that maps held-out sentences nearest to their targets."""
    fits = []
    for strength, solution in zip(_STRENGTHS, _solve(x[~held], y[~held], _STRENGTHS), strict=True):
        weight, x_mean, y_mean, radius = solution
        mapped = normalised(y_mean + radius * normalised((x[held] - x_mean) @ weight))
        similarities = mapped @ y[held].T
        own = similarities.diagonal()
        first = float(np.mean(own >= similarities.max(axis=1)))
        fits.append(Fit(strength, float(own.mean()), first, int(held.sum())))
    best = max(fits, key=lambda fit: fit.cosine)
    return best.strength, best


def _solve(x: Vectors, y: Vectors, strengths: Sequence[float]) -> list[Solution]:
    """Return ridge solutions for several strengths from one eigendecomposition, in float64."""
    x_mean, y_mean = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
    xc, yc = x - x_mean, y - y_mean
    values, axes = np.linalg.eigh(xc.T @ xc)
    across = axes.T @ (xc.T @ yc)
    scale = max(float(values.mean()), np.finfo(np.float64).tiny)
    radius = float(np.linalg.norm(yc, axis=1).mean())
    solutions = []
    for strength in strengths:
        weight = axes @ (across / (np.maximum(values, 0.0) + strength * scale)[:, None])
        solutions.append(
            (
                weight.astype(np.float32),
                x_mean.astype(np.float32),
                y_mean.astype(np.float32),
                radius,
            )
        )
    return solutions
