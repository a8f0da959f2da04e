"""Measure the words that people type first: are right hits strong, and wrong ones weak?

    python -m benchmarks.bench_words --data DIR [--sizes 50,500,5000] [--model NAME]

DIR is a folder of training data (images/*.tar, audio/*.tar). Collections are mixed of pictures,
sounds, clips and sentences (7 : 1 : 1 : 1), or pure (pictures of one subject). Those of up to a
thousand pictures hold only photographs with captions that nothing was trained on; larger ones need
the others too: their figures flatter the model, and pictures with a label alone count as wrong.
The 60 commonest nouns and verbs of the captions are asked as a bare word, as "a photo of X" and as
a sentence, and 60 everyday things that no item shows. Whether a hit is right is judged by the
words of its captions and label, for each kind by itself.

    strong      of the right hits among the first ten, how many are strong
    false       of the queries for absent things, how many have a strong first hit
    drift       the largest difference of a hit's score with a filter and without

The words are in two halves: constants were chosen on "dev", figures are those of "test".
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from benchmarks import record
from seehear import media
from seehear.encoders import Model, load_model
from seehear.search import Engine
from seehear.stores import Catalog, NewContent, NewLocation, VectorCache
from seehear.types import (
    AudioSample,
    MediaInfo,
    Modality,
    Mode,
    Query,
    QueryPart,
    Sample,
    Segment,
    Vectors,
)

SEEN = """
man|men dog|puppy boy|kid woman|women girl|kid water shirt people|person,men,women,man,woman,crowd
child|children,kid,kids grass|grassy field street|road ball snow|snowy beach|sand,shore
bike|bicycle,cyclist tree mountain table car bed hat building bench wall camera road|street jacket
rock|rocky park horse ocean|sea,wave,waves train cat boat|canoe,kayak,ship bird baby|babies
kitchen skateboard|skateboarder pool
running|run,runs jumping|jump,jumps,leap,leaps,leaping sitting|sit,sits,seated
standing|stand,stands walking|walk,walks playing|play,plays riding|ride,rides
climbing|climb,climbs,climber swimming|swim,swims,swimmer holding|hold,holds smiling|smile,smiles
flying|fly,flies eating|eat,eats surfing|surf,surfs,surfer,surfboard skiing|ski,skis,skier
dancing|dance,dances,dancer sleeping|sleep,sleeps,asleep reading|read,reads talking|talk,talks
skating|skate,skates,skateboard,skateboarder,skateboarding
"""
ABSENT = """
elephant giraffe penguin kangaroo submarine spaceship volcano tractor violin harp typewriter
microscope telescope lighthouse windmill igloo cactus pineapple strawberry|strawberries sushi pizza
hamburger toaster refrigerator stapler scissors calculator crocodile octopus dolphin shark jellyfish
peacock owl turtle snail spider scorpion helicopter rocket tank canoe anchor trumpet saxophone
accordion chessboard|chess dice candle chandelier hammer screwdriver drill wrench envelope passport
banknote skeleton mushroom pumpkin
"""
HEARD = """
dog|barking rain thunder|thunderstorm siren piano guitar drum bell clock baby|crying
laughing|laughter footsteps wind waves|wave,sea water cat|meow bird|birds,chirping rooster cow sheep
frog fire helicopter train engine car door|knock glass typing|keyboard vacuum
"""
UNHEARD = """
elephant lion monkey harmonica bagpipe harp parrot owl wolf dolphin fireworks tractor submarine
rocket printer telephone microwave kettle zipper scissors dice pinball bowling tennis golf opera
yodel sitar camel goat
"""
SENTENCES = {"word": "{}", "a photo of": "a photo of {}", "sentence": "there is {} in this one"}
SUBJECTS = ("dog", "man", "water", "snow", "child", "street", "grass", "ball", "bike", "beach")
DESCRIBED = frozenset(("flickr8k", "coco-mini", "coco-mini2", "coco-2k", "coco-more"))
SHARES = {Modality.IMAGE: 0.7, Modality.AUDIO: 0.1, Modality.VIDEO: 0.1, Modality.TEXT: 0.1}
HEARD_AS = {"word": "{}", "the sound of": "the sound of {}"}
PURE_ITEMS = 60
DRIFT_QUERIES = 10
BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Everything that collections are drawn from: n rows."""

    kinds: Sequence[Modality]
    """IMAGE, AUDIO, and TEXT for a caption."""
    unseen: np.ndarray[Any, np.dtype[np.bool_]]
    """Not trained on: bool (n,)."""
    described: np.ndarray[Any, np.dtype[np.bool_]]
    """A photograph with captions by people, a sound or a sentence: bool (n,). A label alone does
    not say what else a picture shows."""
    words: Sequence[frozenset[str]]
    """The words of its captions and label."""
    vectors: Vectors
    """float32 (n, dim)."""

    def rows(self, kind: Modality, absent: frozenset[str], count: float) -> list[int]:
        """Return the best rows for a collection of so many, without those that show absent things.

        Those that nothing was trained on come first, and then those that are described.
        """
        rows = [n for n, k in enumerate(self.kinds) if k is kind and not self.words[n] & absent]
        for good in (self.unseen & self.described, self.described):
            if len(some := [n for n in rows if good[n]]) >= count:
                return some
        return rows


def forms(listed: str) -> dict[str, frozenset[str]]:
    """Return each word with the forms that count as it."""
    found = {}
    for entry in listed.split():
        word, _, more = entry.partition("|")
        found[word] = frozenset({word, f"{word}s", f"{word}es", *more.split(","), *(
            f"{one}s" for one in more.split(",") if one)} - {""})  # fmt: skip
    return found


def load_pool(data: Path, model: Model, cache: Path) -> Pool:
    """Read and encode all pictures, sounds and captions; vectors are kept in `cache`."""
    from training.shards import read_items

    kinds: list[Modality] = []
    unseen: list[bool] = []
    described: list[bool] = []
    words: list[frozenset[str]] = []
    captions: list[str] = []
    kept = cache / f"words-{model.name}-{model.revision}.npz".replace("/", "-")
    known = np.load(kept, allow_pickle=False)["vectors"] if kept.is_file() else None
    rows: list[Vectors] = []
    waiting: list[Sample] = []
    for kind, folder in ((Modality.IMAGE, "images"), (Modality.AUDIO, "audio")):
        for shard, content in read_items(data, folder):
            kinds.append(kind)
            unseen.append(shard.split != "train")
            described.append(kind is Modality.AUDIO or shard.dataset in DESCRIBED)
            told = " ".join([shard.label or "", *shard.captions, *shard.keywords, *shard.names])
            words.append(frozenset(re.findall("[a-z]+", told.lower().replace("_", " "))))
            if kind is Modality.IMAGE and len(shard.captions) > 1 and unseen[-1]:
                captions.append(shard.captions[1])
            if known is None:
                waiting.append(_decoded(kind, content, model))
                if len(waiting) == BATCH:
                    rows.append(_encoded(model, kind, waiting))
                    waiting = []
        if waiting:
            rows.append(_encoded(model, kind, waiting))
            waiting = []
    vectors = np.concatenate(rows) if known is None else known
    if known is None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, vectors=vectors)
    for caption in captions:
        kinds.append(Modality.TEXT)
        unseen.append(True)
        described.append(True)
        words.append(frozenset(re.findall("[a-z]+", caption.lower())))
    said = _encoded(model, Modality.TEXT, captions)
    return Pool(
        kinds, np.array(unseen), np.array(described), words, np.concatenate([vectors, said])
    )


def _decoded(kind: Modality, content: bytes, model: Model) -> Sample:
    if kind is Modality.IMAGE:
        return media.load_image(content, model.spec.image_px)
    sound = media.load_audio(content, model.spec.sample_rate_hz)
    most = int(model.spec.window_s * model.spec.sample_rate_hz)
    return AudioSample(sound.waveform[:most], sound.sample_rate_hz)


def _encoded(model: Model, kind: Modality, samples: Sequence[Sample]) -> Vectors:
    """Encode into the space that words share with this kind: float32 (n, dim)."""
    space = model.route(Modality.TEXT, kind).space
    return np.asarray(model.encode(kind, samples)[space], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """A collection to ask, and the words of each of its assets."""

    engine: Engine
    words: Mapping[int, frozenset[str]]
    folder: Path


def fill(
    pool: Pool, model: Model, chosen: Sequence[tuple[Modality, tuple[int, ...]]], folder: Path
) -> Collection:
    """Write items, each a kind and the rows that it is made of, through the catalog."""
    catalog = Catalog.open(folder)
    root = catalog.locations.add_root(folder / "media")
    space = model.route(Modality.TEXT, Modality.IMAGE).space
    generation = catalog.generations.create(model.name, model.revision, [space])
    catalog.generations.promote(generation.id)
    words: dict[int, frozenset[str]] = {}
    for start in range(0, len(chosen), 500):
        some = chosen[start : start + 500]
        contents, places = [], []
        for number, (kind, rows) in enumerate(some, start):
            vectors = pool.vectors[list(rows)]
            kinds = [kind, Modality.AUDIO][: len(rows)]
            times = (0.0, 5.0) if kind is Modality.VIDEO else (None, None)
            segments = [Segment(one, *times) for one in kinds]
            info = MediaInfo(kind, "made")
            stored = {space: (list(range(len(rows))), vectors)}
            contents.append(NewContent(f"{number:064x}", 1, info, segments, stored))
            path = root.path / ("even" if number % 2 else "odd") / f"{number}"
            places.append([NewLocation(root.id, path, 1, 1, number + 1)])
        with catalog.batch() as batch:
            ids = batch.put_contents(generation.id, contents, places)
        for id_, (_, rows) in zip(ids, some, strict=True):
            words[id_] = frozenset().union(*(pool.words[row] for row in rows))
    serving = catalog.generations.serving()
    assert serving is not None
    engine = Engine(catalog, VectorCache(folder, catalog, serving), model)
    catalog.generations.put_blobs(serving.id, engine.missing_calibration())
    return Collection(engine, words, root.path)


def draw(
    pool: Pool, size: int, absent: frozenset[str], rng: np.random.Generator
) -> list[tuple[Modality, tuple[int, ...]]]:
    """Draw a mixed collection that shows none of the absent things."""
    held = {}
    for kind in (Modality.IMAGE, Modality.AUDIO, Modality.TEXT):
        wanted = size * (SHARES[kind] + (kind is not Modality.TEXT) * SHARES[Modality.VIDEO])
        held[kind] = rng.permutation(pool.rows(kind, absent, wanted)).tolist()
    chosen: list[tuple[Modality, tuple[int, ...]]] = []
    for kind, share in SHARES.items():
        for _ in range(round(share * size)):
            sources = (Modality.IMAGE, Modality.AUDIO) if kind is Modality.VIDEO else (kind,)
            if all(held[source] for source in sources):
                chosen.append((kind, tuple(held[source].pop() for source in sources)))
    return chosen


def ask(collection: Collection, words: str, kind: Modality, **options: Any) -> list[Any]:
    query = Query(
        (QueryPart((words,)),),
        k=10,
        modalities=frozenset({kind}),
        mode=Mode.SEMANTIC,
        show_duplicates=True,
        **options,
    )
    return collection.engine.search(query)


def judge(
    collection: Collection,
    present: Mapping[str, frozenset[str]],
    absent: Mapping[str, frozenset[str]],
    kind: Modality,
    sentence: str,
) -> dict[str, float]:
    """Return counts: right, strong (of them), wrong strong hits, asked, alarms."""
    counts = dict.fromkeys(("right", "strong", "others", "others strong", "asked", "alarms"), 0.0)
    for word, told in present.items():
        for hit in ask(collection, sentence.format(word), kind):
            right = bool(collection.words[hit.asset_id] & told)
            counts["right" if right else "others"] += 1
            counts["strong" if right else "others strong"] += not hit.weak
    for word in absent:
        hits = ask(collection, sentence.format(word), kind)
        if hits:
            counts["asked"] += 1
            counts["alarms"] += not hits[0].weak
    return counts


def drift(collection: Collection, words: Sequence[str]) -> float:
    """Return the largest difference of a hit's score under filters, in kind, folder and number."""
    worst = 0.0
    for word in words:
        whole: dict[int, tuple[float, bool]] = {}
        for kind in Modality:
            whole |= {hit.asset_id: (hit.score, hit.weak) for hit in ask(collection, word, kind)}
        narrowed: Iterator[Any] = (
            hit
            for kind in Modality
            for hit in ask(collection, word, kind, under=collection.folder / "even")
        )
        for hit in narrowed:
            if hit.asset_id in whole:
                score, weak = whole[hit.asset_id]
                worst = max(worst, abs(score - hit.score), float(weak != hit.weak))
    return worst


def measure(
    pool: Pool, model: Model, sizes: Sequence[int], half: str, draws: int
) -> list[dict[str, Any]]:
    """Return a row for each collection, kind and form of the question."""

    def mine(listed: str) -> dict[str, frozenset[str]]:
        every = sorted(forms(listed).items())
        return dict(every[half == "test" :: 2]) if half in ("dev", "test") else dict(every)

    seen, heard = mine(SEEN), mine(HEARD)
    unseen, unheard = mine(ABSENT), mine(UNHEARD)
    missing = frozenset().union(*forms(ABSENT).values(), *forms(UNHEARD).values())
    rows: list[dict[str, Any]] = []
    for size in sizes:
        repeats = draws if size <= 500 else 1
        for seed in range(repeats):
            rng = np.random.default_rng([size, seed])
            with tempfile.TemporaryDirectory() as folder:
                collection = fill(pool, model, draw(pool, size, missing, rng), Path(folder) / "c")
                for kind in Modality:
                    sound = kind is Modality.AUDIO
                    for name, sentence in (HEARD_AS if sound else SENTENCES).items():
                        present, absent = (heard, unheard) if sound else (seen, unseen)
                        counts = judge(collection, present, absent, kind, sentence)
                        rows.append({"items": size, "kind": str(kind), "asked as": name, **counts})
                rows.append({"items": size, "drift": drift(collection, [*seen][:DRIFT_QUERIES])})
    for subject in SUBJECTS:
        told = forms(SEEN)[subject]
        some = [
            (Modality.IMAGE, (n,))
            for n in pool.rows(Modality.IMAGE, missing, 0)
            if pool.words[n] & told
        ][:PURE_ITEMS]
        with tempfile.TemporaryDirectory() as folder:
            collection = fill(pool, model, some, Path(folder) / "c")
            counts = judge(collection, {subject: told}, unseen, Modality.IMAGE, "{}")
            rows.append({"items": "pure", "kind": "image", "asked as": "word", **counts})
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the sums of all draws as Markdown."""
    sums: dict[tuple[Any, ...], dict[str, float]] = {}
    worst: dict[Any, float] = {}
    for row in rows:
        if "drift" in row:
            worst[row["items"]] = max(worst.get(row["items"], 0.0), row["drift"])
            continue
        into = sums.setdefault((row["items"], row["kind"], row["asked as"]), {})
        for name in ("right", "strong", "others", "others strong", "asked", "alarms"):
            into[name] = into.get(name, 0.0) + row[name]
    lines = ["| items | kind | asked as | right hits | strong | absent, first strong | others |"]
    lines.append("|" + " --- |" * 7)
    for (items, kind, name), n in sums.items():
        lines.append(
            f"| {items} | {kind} | {name} | {n['right']:.0f} | {_share(n, 'strong', 'right')} "
            f"| {_share(n, 'alarms', 'asked')} | {_share(n, 'others strong', 'others')} |"
        )
    lines += [f"drift with {items} items: {value:.6f}" for items, value in worst.items()]
    return "\n".join(lines)


def _share(counts: Mapping[str, float], part: str, whole: str) -> str:
    return f"{counts[part] / counts[whole]:.2f}" if counts[whole] else ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--model", default="tiny", metavar="NAME")
    parser.add_argument("--half", choices=("dev", "test", "all"), default="test")
    parser.add_argument("--sizes", default="50,500,5000,20000", metavar="N,N")
    parser.add_argument("--draws", type=int, default=4, help="collections of each small size")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where encoded vectors are kept")
    record.add_options(parser)
    options = parser.parse_args(arguments)
    if not (options.data / "images").is_dir():
        print("--data DIR: a folder with images/*.tar and audio/*.tar is needed", file=sys.stderr)
        return 2
    cache = options.cache or Path(platformdirs.user_cache_dir("seehear")) / "ranking"
    model = load_model(options.model, "auto")
    sizes = [int(size) for size in options.sizes.split(",")]
    rows = measure(load_pool(options.data, model, cache), model, sizes, options.half, options.draws)
    print(f"{model.name} {model.revision}, half {options.half}\n\n{table(rows)}")
    record.keep("words", {"model": model.name, "half": options.half, "rows": rows}, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
