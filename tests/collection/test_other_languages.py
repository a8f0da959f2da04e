"""Texts in languages that `tiny` does not read: found by their words, and by nothing else."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import seehear
from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import UsageError
from seehear.media.workers.pool import DecodePool

NOTES = tomllib.loads(Path("benchmarks/languages.toml").read_text(encoding="utf-8"))
OTHERS = [note for notes in NOTES["others"].values() for note in notes]
SETTINGS = Settings(device="cpu", decode_workers=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of notes: 12 in English, the others in two dozen languages."""
    media = tmp_path_factory.mktemp("notes")
    for number, note in enumerate([*NOTES["english"].values(), *OTHERS]):
        (media / f"{number}.txt").write_text(note, encoding="utf-8")
    folder = tmp_path_factory.mktemp("collection")
    with Collection(folder, SETTINGS) as collection:
        assert collection.index(media).failures == ()
    return folder


@pytest.fixture(scope="module")
def library(folder: Path) -> Iterator[Collection]:
    with seehear.open(folder, device="cpu") as library:
        yield library


@pytest.mark.parametrize("note", OTHERS)
def test_a_note_is_found_by_its_own_words_alone(library: Collection, note: str) -> None:
    hits = library.search(note)
    assert [hit.snippet for hit in hits] == [note]
    assert not hits[0].weak
    assert hits[0].similarity == 0.0


def test_notes_in_unread_languages_are_not_near_duplicates(library: Collection) -> None:
    assert library.duplicates() == []


def test_questions_in_english_find_english_notes(library: Collection) -> None:
    for question, answer in NOTES["english"].items():
        hits = library.search(question, mode="semantic")
        assert hits[0].snippet == answer
        assert not {hit.snippet for hit in hits} & set(OTHERS)


def test_a_question_without_its_words_finds_nothing_and_says_why(library: Collection) -> None:
    asked = library.text_part("лошадь в поле")
    query = seehear.Query((asked,))
    assert library.run(query) == []
    (note,) = library.notes(query)
    assert 'tiny reads English, and "лошадь в поле" looks like Russian' in note
    assert "multilingual reads Russian" in note
    assert library.notes(seehear.Query((library.text_part("a horse"),))) == []


def test_meaning_alone_is_refused_with_the_reason(library: Collection) -> None:
    with pytest.raises(UsageError, match="looks like Greek"):
        library.search("γάτα στο παράθυρο", mode="semantic")


def test_a_long_text_file_in_another_language_is_refused_with_the_reason(
    library: Collection, tmp_path: Path
) -> None:
    long = tmp_path / "long.txt"
    long.write_text(" ".join(NOTES["others"]["ru"] * 5), encoding="utf-8")
    with pytest.raises(UsageError, match=r"tiny reads English, and .long.txt. looks like Russian"):
        library.similar(long)


def test_a_question_that_is_partly_known_scores_lower(library: Collection) -> None:
    scores = [
        library.search(text, mode="semantic", k=1)[0].score
        for text in ("a cat sleeping on a sofa", "a cat sleeping on a sofa у окна")
    ]
    assert scores[0] > scores[1] > 0


def test_the_whole_collection_is_sound(library: Collection) -> None:
    found = library.verify()
    assert (found.faults, found.loose_ends) == ((), ())
    assert sum(index.vectors for index in found.indexes) == len(NOTES["english"])


def test_an_export_brings_passages_without_vectors(library: Collection, tmp_path: Path) -> None:
    library.export(tmp_path / "all.zip")
    with seehear.open(tmp_path / "copy", device="cpu") as copy:
        copy.import_archive(tmp_path / "all.zip")
        assert [hit.snippet for hit in copy.search(OTHERS[0])] == [OTHERS[0]]


def test_the_service_says_why(folder: Path) -> None:
    from seehear.server import create_app

    app = create_app(folder, settings=SETTINGS)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        while client.get("/readyz").status_code != 200:
            pass
        told = client.post("/v1/search", json={"text": "лошадь в поле"}).json()
        plain = client.post("/v1/search", json={"text": "a horse"}).json()
    assert told["hits"] == plain["notes"] == []
    assert "multilingual reads Russian" in told["notes"][0]


def test_assistants_are_told_why(folder: Path) -> None:
    mcp = pytest.importorskip("mcp")
    from seehear.server.mcp import create_mcp
    from seehear.server.served_collection import ModelPool, ServedCollection

    models, decoder = ModelPool("cpu"), DecodePool(1, 2 << 30, 20.0)

    async def ask(library: ServedCollection) -> Any:
        async with mcp.Client(create_mcp(library, decoder)) as client:
            answer = await client.call_tool("search_media", {"description": "лошадь в поле"})
            return json.loads(answer.content[0].text)

    try:
        with ServedCollection(folder, SETTINGS, models) as library:
            told = asyncio.run(ask(library))
    finally:
        decoder.close()
        models.close()
    assert told["hits"] == []
    assert "multilingual reads Russian" in told["notes"][0]
