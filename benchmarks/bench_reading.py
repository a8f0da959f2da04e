"""Measure what is read: speech in sounds, writing in pictures, and words where there are none.

    python -m benchmarks.bench_reading --data DIR [--speech-model NAME] [--part PART]

DIR is a folder of training data (images/*.tar, audio/*.tar). Sentences are said by flite (apt
install flite) or espeak-ng: clean, even voices, so real talk is harder. All is read in reader
processes as an index run does, and searched with the model tiny.

    invented    sounds in which nobody speaks: how many get words all the same
    hidden      40 sentences, each in 90 s of other sounds and 10 dB above them: found first, and
                among five, by key words and by a paraphrase; how far the start is off
    written     six words on each photograph, in letters of 20 and 40 pixels: the share that is
                read, and found first by its words
    empty       photographs of skies and weather: how many get words all the same
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import reading_data, record
from seehear.encoders import Model, load_model
from seehear.readers import SAMPLE_RATE_HZ, encoded_passages
from seehear.readers.process import ReaderProcess
from seehear.search import Engine
from seehear.stores import Catalog, NewContent, NewLocation, VectorCache
from seehear.types import (
    AudioSample,
    Hit,
    MediaInfo,
    Modality,
    Origin,
    Query,
    QueryPart,
    Reading,
    Segment,
)

EACH_S = 90.0
LETTERS_PX = (20, 40)
WIDTH_PX = 1600


def invented(reader: ReaderProcess, data: Path, most: int) -> dict[str, Any]:
    """Return how many sounds without speech have words."""
    voiced, examples, seconds, count = 0, [], 0.0, 0
    for item, waveform in reading_data.silent_of_speech(data, most):
        blocks = [(0.0, AudioSample(waveform, SAMPLE_RATE_HZ))]
        count, seconds = count + 1, seconds + len(waveform) / SAMPLE_RATE_HZ
        voiced += reader.measure_speech(blocks) > 0
        if lines := reader.hear(blocks).lines:
            examples.append(f"{item.dataset}: {item.label}: {lines[0].text}")
    return {
        "sounds": count,
        "seconds": round(seconds),
        "with a voice": voiced,
        "with words": len(examples),
        "share": len(examples) / max(1, count),
        "examples": examples,
    }


def hidden(reader: ReaderProcess, model: Model, data: Path, most: int) -> dict[str, Any]:
    """Return how many sentences are found by their words, by a paraphrase, and how exactly."""
    sentences = []
    for sentence in reading_data.hidden_sentences(data, EACH_S):
        sentences.append(sentence)
        if len(sentences) == most:
            break
    since = time.perf_counter()
    readings = [
        reader.hear([(0.0, AudioSample(one.waveform, SAMPLE_RATE_HZ))]) for one in sentences
    ]
    took_s = time.perf_counter() - since
    found: dict[str, Any] = {
        "sentences": len(sentences),
        "hours": len(sentences) * EACH_S / 3600,
        "seconds a sound-hour": took_s / (len(sentences) * EACH_S / 3600),
        "word error rate": _word_errors([one.text for one in sentences], readings),
    }
    with tempfile.TemporaryDirectory() as folder:
        engine = _collection(model, readings, Modality.AUDIO, Origin.SPEECH, Path(folder) / "c")
        for name, asked in (
            ("key words", [one.key_words for one in sentences]),
            ("paraphrase", [one.paraphrase for one in sentences]),
        ):
            ranks, hits = _ranks(engine, asked)
            found[f"{name} @1"] = float(np.mean([rank == 0 for rank in ranks]))
            found[f"{name} @5"] = float(np.mean([rank is not None for rank in ranks]))
            errors = [
                abs((hit.start_s or 0.0) - one.start_s)
                for one, rank, hit in zip(sentences, ranks, hits, strict=True)
                if rank == 0 and hit is not None
            ]
            found[f"{name} start error s"] = float(np.median(errors)) if errors else None
    return found


def written(reader: ReaderProcess, model: Model, data: Path, most: int) -> dict[str, Any]:
    """Return the share of words that are read, and of pictures that are found by them."""
    photos = reading_data.photographs(data, ("stock-photos", "coco-2k"), most, WIDTH_PX)
    found: dict[str, Any] = {"photographs": len(photos)}
    for letters_px in LETTERS_PX:
        drawn = [reading_data.with_words(p, letters_px, n) for n, p in enumerate(photos)]
        since = time.perf_counter()
        readings = [reader.see(image) for image, _ in drawn]
        took_s = time.perf_counter() - since
        read = [set(_words(" ".join(line.text for line in one.lines))) for one in readings]
        shares = [len(set(words) & seen) / 6 for (_, words), seen in zip(drawn, read, strict=True)]
        with tempfile.TemporaryDirectory() as folder:
            there = Path(folder) / "c"
            engine = _collection(model, readings, Modality.IMAGE, Origin.WRITING, there)
            ranks, _ = _ranks(engine, [" ".join(words[:2]) for _, words in drawn])
        found[f"{letters_px} px"] = {
            "words read": float(np.mean(shares)),
            "found @1": float(np.mean([rank == 0 for rank in ranks])),
            "seconds a picture": took_s / max(1, len(photos)),
        }
    return found


def empty(reader: ReaderProcess, data: Path, most: int) -> dict[str, Any]:
    """Return how many photographs without text have words."""
    photos = reading_data.photographs(data, ("weather4",), most, 1200)
    since = time.perf_counter()
    readings = [reader.see(photo) for photo in photos]
    took_s = time.perf_counter() - since
    false = [" / ".join(line.text for line in one.lines) for one in readings if one.lines]
    return {
        "photographs": len(photos),
        "with words": len(false),
        "share": len(false) / max(1, len(photos)),
        "seconds a picture": took_s / max(1, len(photos)),
        "examples": false,
    }


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _word_errors(texts: Sequence[str], readings: Sequence[Reading]) -> float:
    """Return the edits from what was heard to what was said, as a share of the words said."""
    edits = total = 0
    for text, reading in zip(texts, readings, strict=True):
        said = _words(text)
        heard = _words(" ".join(line.text for line in reading.lines))
        row = list(range(len(heard) + 1))
        for i, word in enumerate(said, 1):
            before, row[0] = row[0], i
            for j, other in enumerate(heard, 1):
                before, row[j] = (
                    row[j],
                    min(row[j] + 1, row[j - 1] + 1, before + (word != other)),
                )
        edits, total = edits + row[-1], total + len(said)
    return edits / max(1, total)


def _collection(
    model: Model, readings: Sequence[Reading], kind: Modality, origin: Origin, folder: Path
) -> Engine:
    """Return an engine for files of a kind whose passages are those of readings."""
    catalog = Catalog.open(folder)
    root = catalog.locations.add_root(folder / "media")
    space = model.route(Modality.TEXT, Modality.TEXT).space
    generation = catalog.generations.create(model.name, model.revision, [space])
    catalog.generations.promote(generation.id)
    contents, places = [], []
    for number, reading in enumerate(readings):
        # A file whose reading is empty is there all the same.
        pairs = encoded_passages(reading, origin) or [(Segment(Modality.TEXT, text="-"), "-")]
        vectors = model.encode(Modality.TEXT, [encoded for _, encoded in pairs])[space]
        stored = {space: (list(range(len(pairs))), np.asarray(vectors, dtype=np.float32))}
        segments = [segment for segment, _ in pairs]
        contents.append(NewContent(f"{number:064x}", 1, MediaInfo(kind, "made"), segments, stored))
        places.append([NewLocation(root.id, root.path / f"file{number}", 1, 1, number + 1)])
    with catalog.batch() as batch:
        batch.put_contents(generation.id, contents, places)
    serving = catalog.generations.serving()
    assert serving is not None
    engine = Engine(catalog, VectorCache(folder, catalog, serving), model)
    catalog.generations.put_blobs(serving.id, engine.missing_calibration())
    return engine


def _ranks(engine: Engine, asked: Sequence[str]) -> tuple[list[int | None], list[Hit | None]]:
    """Return the rank of each query's own file among the first five, and its hit."""
    ranks: list[int | None] = []
    hits: list[Hit | None] = []
    for number, words in enumerate(asked):
        query = Query((QueryPart((words,), label=words),), k=5, show_duplicates=True)
        found = engine.search(query)
        rank = next((n for n, hit in enumerate(found) if hit.path.name == f"file{number}"), None)
        ranks.append(rank)
        hits.append(None if rank is None else found[rank])
    return ranks, hits


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of training data")
    parser.add_argument("--speech-model", default="whisper-base", metavar="NAME")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sounds", type=int, default=1400, help="sounds without speech")
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--photos", type=int, default=60, help="photographs to write on")
    parser.add_argument("--skies", type=int, default=400, help="photographs without text")
    parser.add_argument(
        "--part", action="append", choices=("invented", "hidden", "written", "empty")
    )
    record.add_options(parser)
    options = parser.parse_args(arguments)
    model = load_model("tiny")
    data, result = options.data, dict[str, Any]()
    parts: dict[str, tuple[str, Callable[[ReaderProcess], dict[str, Any]]]] = {
        "invented": ("speech", lambda reader: invented(reader, data, options.sounds)),
        "hidden": ("speech", lambda reader: hidden(reader, model, data, options.sentences)),
        "written": ("writing", lambda reader: written(reader, model, data, options.photos)),
        "empty": ("writing", lambda reader: empty(reader, data, options.skies)),
    }
    for name, (kind, measure) in parts.items():
        if options.part and name not in options.part:
            continue
        wanted = options.speech_model if kind == "speech" else None
        with ReaderProcess(
            "speech" if kind == "speech" else "writing", wanted, options.threads
        ) as reader:
            since = time.perf_counter()
            result[name] = {"engine": reader.engine, **measure(reader)}
        result[name]["seconds"] = round(time.perf_counter() - since)
        print(name, result[name], flush=True)
    record.keep("reading", result, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
