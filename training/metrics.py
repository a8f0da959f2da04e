"""Compute the figures of the model card from held-out vectors and sentences.

Where several items answer a query, success@k says whether any of them is among the first k;
recall@k is used where one item is right. Chance is that of a random order.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.encoders.tiny import TinyEncoder
from seehear.evaluation.similarity import first_relevant_ranks
from seehear.types import AudioSample, ImageSample, Modality, Vectors
from training.captions import CLASS_SENTENCES, fill
from training.concepts import described_by, human_captions
from training.held_out import HeldOut

Texts = Callable[[Sequence[str]], Vectors]
Flags = NDArray[np.bool_]
Figures = dict[str, Any]

INTERVAL = ", 95 %"
_DRAWS = 1_000

ESC10 = (
    "dog barking", "rain falling", "sea waves", "baby crying", "clock ticking",
    "person sneezing", "helicopter flying", "chainsaw running", "rooster crowing",
    "fire crackling",
)  # fmt: skip

# Classes that images and sounds share: patterns of the image label and of the sound label.
SHARED = {
    "airplane": (r"\bairplane\b", r"\bairplane\b"),
    "beaver": (r"\bbeaver\b", r"\bbeaver\b"),
    "cannon": (r"\bcannon\b", r"\bcannon\b"),
    "cat": (r"\bcat\b", r"\bcat meow"),
    "chainsaw": (r"\bchainsaw\b", r"\bchainsaw\b"),
    "church": (r"\bchurch\b", r"\bchurch bells\b"),
    "clock": (r"\bclock\b", r"\bclock\b"),
    "dog": (r"\bdog\b|terrier|retriever|dalmatian|poodle|mastiff|setter", r"\bdog\b"),
    "frog": (r"frog\b", r"\bfrog\b"),
    "grasshopper or cricket": (r"\bgrasshopper\b", r"\bgrasshopper\b|\bcrickets\b"),
    "guitar": (r"\bguitar\b", r"\bguitar\b"),
    "helicopter": (r"\bhelicopter\b", r"\bhelicopter\b"),
    "horse": (r"\bhorse\b", r"\bhorse\b"),
    "keyboard": (r"\bkeyboard\b", r"\btyping on\b"),
    "koala": (r"\bkoala\b", r"\bkoala\b"),
    "piano": (r"\bpiano\b", r"\bpiano\b"),
    "rain": (r"^rain$", r"\brain\b"),
    "rooster": (r"\brooster\b", r"\brooster\b"),
    "saxophone": (r"\bsaxophone\b", r"\bsaxophone\b"),
    "scissors": (r"\bscissors\b", r"\bscissors\b"),
    "sea": (r"\b(seashore|coast|sea|wave)\b", r"\bsea waves\b"),
    "train": (r"\btrain\b|\blocomotive\b", r"\btrain\b"),
    "trombone": (r"\btrombone\b", r"\btrombone\b"),
}


def share(name: str, values: Any, owners: NDArray[np.int64] | None = None) -> Figures:
    """Return a mean and, as `name`, INTERVAL, its bootstrap interval of 95 % (Efron, 1979).

    `owners` (n,) says which item each value belongs to: items are drawn, not values.
    """
    some = np.asarray(values, np.float64)
    owners = np.arange(len(some)) if owners is None else owners
    sums, counts = np.bincount(owners, some), np.bincount(owners)
    drawn = np.random.default_rng(0).integers(len(sums), size=(_DRAWS, len(sums)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    return {name: float(some.mean()), name + INTERVAL: [float(low), float(high)]}


def success(ranks: NDArray[np.int64], k: int) -> float:
    """Return the share of queries whose first relevant item ranks at most `k`."""
    return float((ranks <= k).mean())


def chance(relevant: Flags, k: int) -> NDArray[np.float64]:
    """Return how often a random order has a relevant item among the first k: per query, (q,)."""
    n = relevant.shape[1]
    k = min(k, n)
    whole = math.comb(n, k)
    return np.array([1.0 - math.comb(n - int(m), k) / whole for m in relevant.sum(axis=1)])


def captioned(images: HeldOut, dataset: str, texts: Texts) -> Figures:
    """Measure sentence to image and back on the val part of a set that people described."""
    rows = [r for r in images.rows(dataset, "val") if human_captions(images.items[r])]
    if not rows:
        return {}
    captions = [c for r in rows for c in images.items[r].captions[:5]]
    owner = np.array([k for k, r in enumerate(rows) for _ in images.items[r].captions[:5]])
    right = owner[:, None] == np.arange(len(rows))[None]
    figures: Figures = {"pictures": len(rows), "captions": len(captions)}
    similarities = texts(captions) @ images.vectors[rows].T
    by_text = first_relevant_ranks(similarities, right)
    by_image = first_relevant_ranks(similarities.T, right.T)
    for k in (1, 5, 10):
        figures |= share(f"text->image recall@{k}", by_text <= k, owner)
    for k in (1, 10):
        figures |= share(f"image->text success@{k}", by_image <= k)
    return figures


def zero_shot(
    held: HeldOut,
    kind: str,
    dataset: str,
    texts: Texts,
    only: Sequence[str] | None = None,
) -> Figures:
    """Measure how often the nearest class sentence is right on a set's val part."""
    classes = [c for c in held.classes.get(dataset, []) if only is None or c in only]
    rows = [r for r in held.rows(dataset, "val") if held.items[r].label in classes]
    if not rows:
        return {}
    sentences = texts([fill(CLASS_SENTENCES[kind], name) for name in classes])
    order = np.argsort(-(held.vectors[rows] @ sentences.T), axis=1)[:, :5]
    truth = np.array([classes.index(held.items[r].label or "") for r in rows])
    hits = order == truth[:, None]
    return {
        "items": len(rows),
        "classes": len(classes),
        **share("accuracy", hits[:, 0]),
        **share("top 5", hits.any(axis=1)),
        "chance": 1.0 / len(classes),
    }


def by_label(held: HeldOut, dataset: str, kind: str, texts: Texts) -> Figures:
    """Measure label sentence to item and back on everything held out of one set."""
    rows = [r for r in held.rows(dataset) if held.items[r].label]
    labels = sorted({held.items[r].label or "" for r in rows})
    if len(labels) < 2:
        return {}
    right = np.array([[held.items[r].label == label for r in rows] for label in labels])
    sentences = texts([fill(CLASS_SENTENCES[kind], label) for label in labels])
    similarities = sentences @ held.vectors[rows].T
    by_text = first_relevant_ranks(similarities, right)
    by_item = first_relevant_ranks(similarities.T, right.T)
    figures: Figures = {"items": len(rows), "sentences": len(labels)}
    for k in (1, 5):
        figures[f"text->item success@{k}"] = success(by_text, k)
        figures[f"text->item chance@{k}"] = float(chance(right, k).mean())
        figures[f"item->text recall@{k}"] = success(by_item, k)
        figures[f"item->text chance@{k}"] = float(chance(right.T, k).mean())
    return figures


def across(
    images: HeldOut, audio_data: HeldOut, *, everything: bool = False, k: int = 5
) -> Figures:
    """Measure image to sound and back on the classes that both have: means over the classes.

    What is asked for stands among the items of these classes, or, with `everything`, among all
    held-out items of its kind; there an item is right that has the class in a human caption, too.
    """
    seen = _shared_rows(images, 0)
    heard = _shared_rows(audio_data, 1)
    names = sorted(seen.keys() & heard.keys())
    if len(names) < 2:
        return {}
    figures: Figures = {"classes": {n: [len(seen[n]), len(heard[n])] for n in names}}
    for way, source, from_rows, target, to_rows, side in (
        ("image->sound", images, seen, audio_data, heard, 1),
        ("sound->image", audio_data, heard, images, seen, 0),
    ):
        gallery = np.array([r for n in names for r in to_rows[n]])
        if everything:
            gallery = np.arange(len(target.items))
        found, luck = [], []
        for name in names:
            told = _told_rows(target, SHARED[name][side]) if everything else to_rows[name]
            right = np.tile(np.isin(gallery, told), (len(from_rows[name]), 1))
            similarities = source.vectors[from_rows[name]] @ target.vectors[gallery].T
            found.append(success(first_relevant_ranks(similarities, right), k))
            luck.append(float(chance(right, k).mean()))
        figures |= share(f"{way} success@{k}", found)
        figures[f"{way} chance@{k}"] = float(np.mean(luck))
        figures[f"{way} by class"] = dict(zip(names, found, strict=True))
    return figures


def _shared_rows(held: HeldOut, side: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row, item in enumerate(held.items):
        for name, patterns in SHARED.items():
            if item.label and re.search(patterns[side], item.label):
                found.setdefault(name, []).append(row)
                break
    return found


def _told_rows(held: HeldOut, pattern: str) -> list[int]:
    """Return the rows whose label, or a sentence that a person wrote, has a pattern."""
    return [
        row
        for row, item in enumerate(held.items)
        if any(
            re.search(pattern, text)
            for text in (item.label or "", *(() if item.by_machine else item.captions))
        )
    ]


def concepts(held: HeldOut, words: Sequence[str], texts: Texts, k: int = 10) -> Figures:
    """Measure how words that no training label has find the held-out items that show them.

    `words` that a training label has are left out.
    """
    asked, relevant = described_by(words, held.items, held.trained)
    if not asked:
        return {}
    ranks = first_relevant_ranks(texts(asked) @ held.vectors.T, relevant)
    return {
        "concepts": len(asked),
        "items": len(held.items),
        **share(f"success@{k}", ranks <= k),
        f"chance@{k}": float(chance(relevant, k).mean()),
        "MRR": float((1.0 / ranks).mean()),
        "median rank of the first": float(np.median(ranks)),
        "not found": [word for word, rank in zip(asked, ranks, strict=True) if rank > k],
    }


def speeds(encoder: TinyEncoder, sentences: Sequence[str]) -> Figures:
    """Measure the throughput of one process on decoded samples; the first call does not count."""
    rng = np.random.default_rng(0)
    px = encoder.spec.image_px
    images = [ImageSample(rng.integers(0, 256, (px, px * 4 // 3, 3), np.uint8)) for _ in range(256)]
    rate = encoder.spec.sample_rate_hz
    length = int(encoder.spec.window_s * rate)
    windows = [
        AudioSample((rng.standard_normal(length) * 0.1).clip(-1, 1).astype(np.float32), rate)
        for _ in range(64)
    ]
    texts = [sentences[row % len(sentences)] for row in range(10_000)]
    encoder.encode(Modality.TEXT, texts[:500])
    single = [_seconds(partial(encoder.encode, Modality.TEXT, [s])) for s in texts[:200]]
    encoder.encode(Modality.IMAGE, images[:32])
    encoder.encode(Modality.AUDIO, windows[:8])
    return {
        "images a second": len(images)
        / min(_seconds(lambda: encoder.encode(Modality.IMAGE, images)) for _ in range(3)),
        f"windows of {encoder.spec.window_s:g} s a second": len(windows)
        / min(_seconds(lambda: encoder.encode(Modality.AUDIO, windows)) for _ in range(3)),
        "sentences a second": len(texts)
        / min(_seconds(lambda: encoder.encode(Modality.TEXT, texts)) for _ in range(3)),
        "one sentence, ms": 1000 * median(single),
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
