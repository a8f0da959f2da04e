"""Read and write judged queries (qrels) and the answers of a search (runs): JSON Lines.

Qrels have one query per line; a query names at least one of text, image, audio, video:

    {"query": "q1", "text": "a dog on a beach", "relevant": ["dogs/1.jpg", "walk.mp4"]}
    {"query": "q2", "image": "cat.jpg", "without": "dogs", "relevant": {"cat2.jpg": 2, "c.wav": 1}}
    {"query": "q3", "text": "a unicorn", "relevant": []}

    query      name of the query; its line number if absent
    text, image, audio, video     one or a list; files relative to the qrels file
    without    words that hits must not show, one or a list
    relevant   paths, or paths with grades (whole numbers, 0 for not relevant); relative paths start
               at the qrels file's folder. An empty list: nothing in the collection is relevant.
    in         kinds of items to search, one or a list; all by default
    where      a filter in words
    route      name of the group in which the query is counted; by default the kinds of the query
               and of the items searched, "text->image"

Runs have one hit per line, best first:  {"query": "q1", "path": "/media/dogs/1.jpg", "score": 0.93}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seehear.arguments import modality
from seehear.errors import UsageError
from seehear.files import write_output
from seehear.types import Modality

_KEYS = frozenset(
    {"query", "text", "image", "audio", "video", "without", "relevant", "in", "where", "route"}
)


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """One query with its relevant items."""

    name: str
    relevant: Mapping[str, int]
    """Grade of each relevant item by absolute path; empty if nothing should be found."""
    texts: tuple[str, ...] = ()
    files: tuple[tuple[Modality, Path], ...] = ()
    """Query files with their modalities, absolute."""
    without: tuple[str, ...] = ()
    modalities: frozenset[Modality] | None = None
    where: str = ""
    route: str = field(default="")
    location: str = ""
    """Where the query was read, for messages: "qrels.jsonl, line 3"."""

    def __post_init__(self) -> None:
        if not self.route:
            asked = [Modality.TEXT] * bool(self.texts) + [kind for kind, _ in self.files]
            asked_with = "+".join(dict.fromkeys(asked))
            searched = ",".join(sorted(self.modalities)) if self.modalities else "all"
            object.__setattr__(self, "route", f"{asked_with}->{searched}")


@dataclass(frozen=True, slots=True)
class ScoredItem:
    """One hit of a run."""

    path: str
    score: float


def read_qrels(path: Path) -> list[JudgedQuery]:
    """Read the queries of a file. Raises UsageError, with the line, for an invalid one."""
    judged: list[JudgedQuery] = []
    names: set[str] = set()
    for number, entry in _lines(path):
        one = _judged(entry, number, path)
        if one.name in names:
            raise UsageError(f"{path}, line {number}: the query {one.name!r} is there twice")
        names.add(one.name)
        judged.append(one)
    if not judged:
        raise UsageError(f"{path} has no queries")
    return judged


def read_run(path: Path) -> dict[str, list[ScoredItem]]:
    """Read answers by query, in the order of the file. Raises UsageError, with the line."""
    run: dict[str, list[ScoredItem]] = {}
    for number, entry in _lines(path):
        name, hit, score = entry.get("query"), entry.get("path"), entry.get("score")
        number_given = isinstance(score, int | float) and not isinstance(score, bool)
        if not isinstance(name, str) or not isinstance(hit, str) or not number_given:
            raise UsageError(
                f'{path}, line {number}: a hit reads {{"query": "q1", "path": "a.jpg", "score": 1}}'
            )
        run.setdefault(name, []).append(
            ScoredItem(str(_absolute(hit, path)), float(entry["score"]))
        )
    return run


def write_run(path: Path, run: Mapping[str, Sequence[ScoredItem]], *, force: bool = False) -> None:
    """Write answers so that `read_run` can read them; `force` replaces a file that exists.

    Raises UsageError if the file must not be written, StoreError if it cannot be written.
    """
    lines = [
        json.dumps({"query": name, "path": answer.path, "score": answer.score}, ensure_ascii=False)
        for name, answers in run.items()
        for answer in answers
    ]
    text = "".join(f"{line}\n" for line in lines)
    write_output(path, [text.encode("utf-8", "surrogateescape")], force=force)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UsageError(f"{path}, line {number}: not valid JSON ({error})") from None
        if not isinstance(entry, dict):
            raise UsageError(f"{path}, line {number}: each line is one JSON object")
        yield number, entry


def _judged(entry: dict[str, Any], number: int, path: Path) -> JudgedQuery:
    where = f"{path}, line {number}"
    unknown = set(entry) - _KEYS
    if unknown:
        raise UsageError(f"{where}: unknown key {sorted(unknown)[0]!r}; keys: {sorted(_KEYS)}")
    texts = _words(entry, "text", where)
    files = tuple(
        (kind, _absolute(name, path))
        for kind in (Modality.IMAGE, Modality.AUDIO, Modality.VIDEO)
        for name in _words(entry, str(kind), where)
    )
    if not texts and not files:
        raise UsageError(f"{where}: a query names at least one of text, image, audio, video")
    kinds = _words(entry, "in", where)
    try:
        modalities = frozenset(modality(kind) for kind in kinds) or None
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    return JudgedQuery(
        name=str(entry.get("query", number)),
        relevant=_relevant(entry.get("relevant"), where, path),
        texts=texts,
        files=files,
        without=_words(entry, "without", where),
        modalities=modalities,
        where=" ".join(_words(entry, "where", where)),
        route=" ".join(_words(entry, "route", where)),
        location=where,
    )


def _relevant(value: object, where: str, path: Path) -> dict[str, int]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = dict.fromkeys(value, 1)
    if not isinstance(value, dict) or not all(
        isinstance(grade, int) and not isinstance(grade, bool) and grade >= 0
        for grade in value.values()
    ):
        raise UsageError(f'{where}: "relevant" is a list of paths, or paths with grades from 0')
    return {str(_absolute(item, path)): grade for item, grade in value.items() if grade > 0}


def _words(entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = entry.get(key, ())
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
        raise UsageError(f'{where}: "{key}" is a string or a list of strings')
    return tuple(values)


def _absolute(name: str, beside: Path) -> Path:
    # Resolve ".." without following links: the collection's own paths contain no "..".
    return Path(os.path.normpath(beside.absolute().parent / name))
