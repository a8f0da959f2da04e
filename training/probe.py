"""Ask a collection of held-out photographs and sounds for everyday words, as a person would.

    python -m training.probe --data DIR [--model NAME] [--json FILE]

`probes.toml` lists the words: things, actions, places, sounds, colours of things and numbers of
things. 2,000 photographs and all sounds that no training saw are added to an empty collection. Each
word is asked as a person would ask it, and counts with the marks that a person would see (strong,
weak). A photograph is right for a word that two of its human captions use, or its only one, or its
label. A word without a right file is left out.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tempfile
import tomllib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np

import seehear
from seehear.errors import SeehearError, UsageError
from seehear.files import check_output, write_output
from training.shards import ShardItem, read_items

PROBES = Path(__file__).with_name("probes.toml")
PHOTOGRAPHS = 2_000
SHOWN = 10
DESCRIBED = (
    "flickr8k", "coco-2k", "coco-mini", "coco-mini2", "coco-more", "ade20k-rooms", "flash-cards",
    "imagenet-samples", "imagenet-samples2", "dreambooth",
)  # fmt: skip
FILLING = ("caltech101", "grocery-store", "clothing", "weather4", "pacs")
"""Sets of few classes: what DESCRIBED leaves of the 2,000 comes from them, by a hash of keys."""
_AT_ONCE = 64
_DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Probe:
    """A question and how the right answers are described."""

    family: str
    asked: str
    described: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the first ten files for a probe were."""

    probe: Probe
    right: int
    """Files of the collection that are right."""
    found: int
    """Of them, those among the first ten."""
    strong: bool
    """Whether the first right one among the ten is told as strong."""


def read_probes(path: Path = PROBES) -> list[Probe]:
    """Read the words of every family."""
    lists = {name: _split(words) for name, words in tomllib.loads(path.read_text()).items()}
    probes = [
        Probe(family, words[0], _any_of(_all_words(form) for form in words))
        for family in ("things", "actions", "places", "sounds")
        for words in lists[family]
    ]
    for family, first, second in (
        ("colours", "colours", "coloured"),
        ("counts", "numbers", "counted"),
    ):
        for some, thing in product(lists[first], lists[second]):
            shown = thing[0] if some[0] in {"one", *_names(lists["colours"])} else _plural(thing[0])
            near = rf"\b(?:{'|'.join(some)})\b(?:\W+\w+){{0,2}}\W+{_forms(thing[0])}\b"
            probes.append(Probe(family, f"{some[0]} {shown}", re.compile(near, re.IGNORECASE)))
    return probes


def is_right(item: ShardItem, probe: Probe) -> bool:
    """Tell whether people described an item by a probe's words."""
    if any(probe.described.search(name) for name in (item.label or "", *item.names)):
        return True
    if item.by_machine or not item.captions:
        return False
    told = sum(probe.described.search(caption) is not None for caption in item.captions)
    return told >= min(2, len(item.captions))


def choose_photographs(items: Iterable[ShardItem]) -> set[tuple[str, str]]:
    """Choose the sets and keys of 2,000 held-out photographs, the same ones each time."""
    ranked: list[tuple[int, int, str, str]] = []
    for item in items:
        key = (item.dataset, item.key)
        if item.split == "train" or item.by_machine or item.domain not in {"", "photo"}:
            continue
        if item.dataset in DESCRIBED or item.dataset in FILLING:
            ranked.append((item.dataset in FILLING, zlib.crc32("/".join(key).encode()), *key))
    return {(dataset, key) for *_, dataset, key in sorted(ranked)[:PHOTOGRAPHS]}


def answer(
    library: seehear.Collection, kept: Mapping[str, ShardItem], probe: Probe
) -> Answer | None:
    """Ask a probe; None where the collection has no right file for it."""
    sound = probe.family == "sounds"
    right = {name for name, item in kept.items() if name.startswith("audio/") is sound}
    right = {name for name in right if is_right(kept[name], probe)}
    if not right:
        return None
    hits = library.search(probe.asked, k=SHOWN, modalities="audio" if sound else "image")
    found = [hit for hit in hits if hit.id in right]
    return Answer(probe, len(right), len(found), bool(found) and not found[0].weak)


def summarise(answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Return the figures of each family, with intervals of 95 % over its probes."""
    table: dict[str, dict[str, Any]] = {}
    for family in dict.fromkeys(one.probe.family for one in answers):
        some = [one for one in answers if one.probe.family == family]
        table[family] = {
            "asked": len(some),
            "found": _share([one.found > 0 for one in some]),
            "strong": _share([one.strong for one in some]),
            "share of the right ones": _share([one.found / min(SHOWN, one.right) for one in some]),
        }
    return table


def markdown(table: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the figures as a table."""
    columns = ("found", "strong", "share of the right ones")
    lines = [f"| | asked | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for family, row in table.items():
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*row[column]) for column in columns]
        lines.append(f"| {family} | {row['asked']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def run(
    data: Path, model: str | None, *, progress: bool = True
) -> tuple[str, dict[str, dict[str, Any]], list[Answer]]:
    """Return the model's name, the figures by family and all answers. Raises SeehearError."""
    from tqdm import tqdm

    photographs = choose_photographs(item for item, _ in read_items(data, "images"))
    kept: dict[str, ShardItem] = {}
    with tempfile.TemporaryDirectory() as scratch, seehear.open(scratch, model=model) as library:
        for kind in ("images", "audio"):
            every = (
                (f"{kind}/{item.dataset}/{item.key}", item, content)
                for item, content in read_items(data, kind)
                if (item.dataset, item.key) in photographs
                or (kind == "audio" and item.split != "train")
            )
            waiting = iter(tqdm(every, desc=f"add {kind}", disable=not progress))
            while some := list(islice(waiting, _AT_ONCE)):
                kept |= dict(_added(library, kind, some))
        if not kept:
            raise UsageError(f"{data} holds no photograph and no sound that is held out")
        asked = tqdm(read_probes(), desc="ask", disable=not progress)
        answers = [one for probe in asked if (one := answer(library, kept, probe)) is not None]
        return library.model().name, summarise(answers), answers


def _added(
    library: seehear.Collection, kind: str, some: Sequence[tuple[str, ShardItem, bytes]]
) -> Iterator[tuple[str, ShardItem]]:
    """Add items at once; where one of them cannot be decoded, each by itself."""
    try:
        media = [io.BytesIO(content) for _, _, content in some]
        images, audio = (media, []) if kind == "images" else ([], media)
        library.add(images=images, audio=audio, ids=[name for name, *_ in some])
        yield from ((name, item) for name, item, _ in some)
    except SeehearError:
        if len(some) > 1:
            for one in some:
                yield from _added(library, kind, [one])


def _split(words: str) -> list[list[str]]:
    return [[form.strip() for form in word.split("|")] for word in words.split(",")]


def _names(words: Iterable[Sequence[str]]) -> set[str]:
    return {form for forms in words for form in forms}


def _plural(noun: str) -> str:
    irregular = {"man": "men", "woman": "women", "child": "children", "person": "people"}
    return irregular.get(noun, f"{noun}s")


def _forms(word: str) -> str:
    """Return a pattern of a word's forms: plural of a noun, present of a verb in "-ing"."""
    forms = {word, f"{word}s", f"{word}es", _plural(word)}
    if word.endswith("y"):
        forms.add(f"{word[:-1]}ies")
    if word.endswith(("f", "fe")):
        forms.add(f"{word.removesuffix('e').removesuffix('f')}ves")
    if word.endswith("ing") and len(word) > 5:
        stem = word.removesuffix("ing")
        stems = {stem, f"{stem}e"} | ({stem[:-1]} if stem[-1:] == stem[-2:-1] else set())
        forms |= {f"{one}{end}" for one in stems for end in ("", "s", "es")}
    return f"(?:{'|'.join(sorted(map(re.escape, forms), key=len, reverse=True))})"


def _all_words(phrase: str) -> str:
    return "".join(rf"(?=.*\b{_forms(word)}\b)" for word in phrase.split() if len(word) > 2)


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{one})" for one in patterns), re.IGNORECASE)


def _share(values: Sequence[float]) -> tuple[float, float, float]:
    """Return a mean and the bootstrap interval of 95 % over its values."""
    some = np.asarray(values, np.float64)
    draws = np.random.default_rng(0).integers(len(some), size=(_DRAWS, len(some)))
    low, high = np.percentile(some[draws].mean(axis=1), [2.5, 97.5])
    return round(float(some.mean()), 4), round(float(low), 4), round(float(high), 4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.probe", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--model", metavar="NAME", help="a name or folder; default: tiny")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every answer there")
    parser.add_argument("--force", action="store_true", help="replace a FILE that exists")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    try:
        if options.json:
            check_output(options.json, force=options.force)
        model, table, answers = run(options.data, options.model, progress=not options.quiet)
        if options.json:
            rows = [
                {
                    "family": one.probe.family, "asked": one.probe.asked, "right": one.right,
                    "found": one.found, "strong": one.strong,
                }
                for one in answers
            ]  # fmt: skip
            text = json.dumps({"model": model, "figures": table, "answers": rows}, indent=1) + "\n"
            write_output(options.json, [text.encode("utf-8")], force=options.force)
    except SeehearError as error:
        sys.stderr.write(f"training.probe: {error}\n")
        return 1
    sys.stdout.write(f"Measured with {model}.\n\n{markdown(table)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
