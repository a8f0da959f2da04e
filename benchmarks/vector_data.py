"""Make any number of realistic vectors: real embeddings, mixed and perturbed.

A base is embedded with the bundled model: captions from DIR/text/*.txt.gz where a folder of
training data is given, else sentences made here from words. Vectors of `tiny` have 384 numbers; to
reach 512, 128 more come from the embedding of the sentence's second half, turned by a fixed
orthonormal projection. Each vector of the collection is then

    unit( a x_i + (1 - a) x_j + noise ),  a uniform in [0.6, 1], i and j drawn from the base

where the noise has the spread of the base along each axis, times 0.3: neighbours are sentences that
say nearly the same, as in a collection of captions. Queries are made alike from sentences that are
kept out of the collection.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from seehear.encoders import Model, load_model
from seehear.types import Modality, Vectors

DIM = 512
MIX_LEAST = 0.6
NOISE = 0.3
HELD_OUT = 0.05
"""Share of the base that only queries are made of."""
CHUNK = 50_000

_WHO = "man woman child dog cat horse bird boy girl player runner singer crowd farmer train boat"
_HOW = "old young small tall wet brown white happy tired noisy quiet distant red striped lonely"
_DOES = "runs sings jumps waits sleeps shouts plays turns falls rests barks rings passes looks"
_WHERE = "beach street field kitchen forest river garden station stage market bridge hill school"
_WHEN = "morning evening winter summer rain snow sunshine fog storm night autumn noon wind dusk"


def base(count: int, data: Path | None, seed: int = 0) -> Vectors:
    """Real embeddings, float32 (count, 512), unit rows. Raises ValueError for too few captions."""
    said = sentences(count, data, seed)
    model = load_model("tiny")
    whole = _encoded(model, said)
    halves = [" ".join(words[len(words) // 2 :]) for words in map(str.split, said)]
    half = _encoded(model, halves)
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((whole.shape[1], DIM - whole.shape[1])))
    return unit(np.hstack([whole, half @ turn.astype(np.float32)]))


def sentences(count: int, data: Path | None, seed: int = 0) -> list[str]:
    """Distinct sentences: captions of the data, or made from words where there are none."""
    rng = np.random.default_rng(seed)
    if data is None:
        words = [part.split() for part in (_HOW, _WHO, _DOES, _HOW, _WHERE, _WHEN)]
        drawn = np.stack([rng.integers(0, len(part), 2 * count + 64) for part in words], axis=1)
        rows = np.unique(drawn, axis=0)
        said = [
            "the {} {} {} near a {} {} in the {}".format(
                *(part[i] for part, i in zip(words, row, strict=True))
            )
            for row in rows
        ]
    else:
        said = []
        for file in sorted((data / "text").glob("*.txt.gz")):
            with gzip.open(file, "rt", encoding="utf-8") as lines:
                said += [line.strip() for line in lines if len(line.split()) >= 4]
        said = sorted(set(said))
    if len(said) < count:
        raise ValueError(f"{count} sentences were asked for, and there are {len(said)}")
    return [said[i] for i in rng.permutation(len(said))[:count]]


def mixed(base: Vectors, count: int, seed: int) -> Vectors:
    """As many vectors as wanted, float32 (count, dim), unit rows, made of a base."""
    rng = np.random.default_rng(seed)
    spread = NOISE * base.std(axis=0)
    made = np.empty((count, base.shape[1]), dtype=np.float32)
    for start in range(0, count, CHUNK):
        part = made[start : start + CHUNK]
        share = rng.uniform(MIX_LEAST, 1.0, (len(part), 1)).astype(np.float32)
        first, second = rng.integers(0, len(base), (2, len(part)))
        part[:] = share * base[first] + (1 - share) * base[second]
        part += spread * rng.standard_normal(part.shape, dtype=np.float32)
        part[:] = unit(part)
    return made


def collection_and_queries(
    base: Vectors, count: int, queries: int, seed: int = 0
) -> tuple[Vectors, Vectors]:
    """Vectors of a collection, and queries from what it was not made of."""
    cut = int(len(base) * (1 - HELD_OUT))
    return mixed(base[:cut], count, seed + 1), mixed(base[cut:], queries, seed + 2)


def unit(rows: Vectors) -> Vectors:
    norms: Vectors = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / norms, dtype=np.float32)


def _encoded(model: Model, said: list[str]) -> Vectors:
    rows = [
        next(iter(model.encode(Modality.TEXT, said[start : start + 1000]).values()))
        for start in range(0, len(said), 1000)
    ]
    return np.concatenate(rows)
