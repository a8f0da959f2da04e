"""Measure what `tiny` does with texts that are not English: which it takes for English, and which
notes in other languages questions in English find.

    python -m benchmarks.bench_languages --media demo/media [--captions FILE ...] [--publish]

The folder has the notes of languages.toml, 60 in 25 languages and 12 in English, and the photos and
notes of the demo. It is searched twice, with the share of known words and without it (everything
counts as known). `--captions` are texts in English, one on each line, gzipped if the name says so.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import record
from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders.base import LEAST_KNOWN
from seehear.encoders.languages import guess_language, languages
from seehear.encoders.tiny.checkpoint import open_folder
from seehear.encoders.tiny.encoder import TINY
from seehear.encoders.tiny.tokenizer import Tokenizer

NOTES = Path(__file__).with_name("languages.toml")
K = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the figures and keep the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.bench_languages", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--media", type=Path, default=Path("demo/media"))
    parser.add_argument("--captions", type=Path, nargs="*", default=[])
    record.add_options(parser)
    options = parser.parse_args(arguments)
    notes = tomllib.loads(NOTES.read_text(encoding="utf-8"))
    result: dict[str, Any] = {"known": _known(notes, options.captions)}
    for name in ("with the share", "without it"):
        result[name] = _searched(notes, options.media, judged=name == "with the share")
    print(json.dumps(result, indent=1, ensure_ascii=False))
    record.keep("languages", result, options)
    return 0


def _known(notes: dict[str, Any], captions: Sequence[Path]) -> dict[str, Any]:
    """Return how many texts have no vector, and of how many notes the language is guessed."""
    folder = open_folder(TINY)
    share = Tokenizer(folder.vocabulary, folder.config.text.most_tokens).known_share
    english = [*notes["english"], *notes["english"].values()]
    for file in captions:
        data = file.read_bytes()
        text = gzip.decompress(data) if file.suffix == ".gz" else data
        english += text.decode("utf-8").splitlines()
    shares = list(map(share, english))
    others = [(code, note) for code, group in notes["others"].items() for note in group]
    named = {language.code: language for language in languages()}
    return {
        "English texts": len(english),
        "English texts without a vector": sum(one <= LEAST_KNOWN for one in shares),
        "English texts partly known": sum(LEAST_KNOWN < one < 1 for one in shares),
        "notes in other languages": len(others),
        "of them without a vector": sum(share(note) <= LEAST_KNOWN for _, note in others),
        "of them in the language that is guessed": sum(
            guess_language(note) == named[code] for code, note in others
        ),
    }


def _searched(notes: dict[str, Any], media: Path, *, judged: bool) -> dict[str, Any]:
    """Return what questions find in a folder of many languages."""
    others = {note for group in notes["others"].values() for note in group}
    with (
        tempfile.TemporaryDirectory() as scratch,
        mock.patch.object(
            Tokenizer, "known_share", Tokenizer.known_share if judged else lambda *_: 1.0
        ),
    ):
        folder = Path(scratch, "media")
        for part in ("photos", "notes"):
            shutil.copytree(media / part, folder / part)
        for number, note in enumerate([*notes["english"].values(), *sorted(others)]):
            (folder / f"{number}.txt").write_text(note, encoding="utf-8")
        with Collection(Path(scratch, "collection"), Settings(device="cpu")) as library:
            library.index(folder)
            first = right = among = strong = 0
            for question, answer in notes["english"].items():
                hits = library.search(question, k=K, mode="semantic")
                right += hits[0].snippet == answer
                first += hits[0].snippet in others
                among += any(hit.snippet in others for hit in hits)
                strong += any(hit.snippet in others and not hit.weak for hit in hits)
            false = 0
            for note in sorted(others):
                hits = library.search(note, k=10)
                false += any(hit.snippet != note and not hit.weak for hit in hits)
            return {
                "questions in English": len(notes["english"]),
                "their note comes first": right,
                "a note in another language comes first": first,
                f"one is among the first {K}": among,
                f"a strong one is among the first {K}": strong,
                "notes asked for in another language": len(others),
                "that find another file, strong": false,
                "groups of near-duplicates": len(library.duplicates()),
            }


if __name__ == "__main__":
    raise SystemExit(main())
