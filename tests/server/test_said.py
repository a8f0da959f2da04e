"""What is said in files, from the file to a client: by what it was found, its words, filters."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from seehear.collection import Collection
from seehear.connectors.describe import metadata_of
from seehear.readers.fake import say
from seehear.server import create_app
from tests.media.make_timed import Scene, Tone, Track, make_film
from tests.server.conftest import BASE, SETTINGS, wait_ready

SCENES = [Scene((200, 30, 30), 0, 3, 0.2)]
ENGLISH = Track("subrip", [(0.5, 1.2, "We sail at dawn."), (2.0, 2.8, "Mind the mast.")], "eng")
GERMAN = Track("ass", [(0.5, 1.2, "Wir segeln los.")], "ger")


@pytest.fixture(scope="module")
def said_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("said") / "media"
    folder.mkdir()
    make_film(folder / "voyage.mkv", SCENES, tracks=[ENGLISH, GERMAN])
    make_film(folder / "ballad.flac", [], [Tone(440, 0, 1)], tags={"LYRICS": "zebra\nlullaby"})
    make_film(folder / "talk.mp3", [], [Tone(440, 0, 1)])
    (folder / "talk.en.srt").write_text("1\n00:00:00,200 --> 00:00:00,900\nA broken ankle.\n")
    (folder / "note.txt").write_text("Nothing of the kind.")
    return folder


@pytest.fixture(scope="module")
def said(said_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection(tmp_path_factory.mktemp("collection"), SETTINGS) as collection:
        assert collection.index(said_folder).failed == 0
        yield collection


@pytest.mark.parametrize(
    ("words", "name", "by", "language"),
    [
        ("mast", "voyage.mkv", "subtitles", "en"),
        ("segeln", "voyage.mkv", "subtitles", "de"),
        ("zebra", "ballad.flac", "lyrics", None),
        ("broken ankle", "talk.mp3", "subtitles", "en"),
    ],
)
def test_what_is_said_is_found_and_told(
    said: Collection, words: str, name: str, by: str, language: str | None
) -> None:
    hit = said.search(words)[0]
    assert (hit.path.name, hit.by[0], hit.language) == (name, by, language)
    told = metadata_of(hit)
    assert told["by"].split(", ")[0] == by
    assert told.get("language") == language


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("has subtitles", {"voyage.mkv", "talk.mp3"}), ("has lyrics", {"ballad.flac"}),
        ("language = German", {"voyage.mkv"}), ("said ~ ankle", {"talk.mp3"}),
        ("has speech or has writing", set()),
    ],
)  # fmt: skip
def test_filters_of_what_is_said(said: Collection, where: str, names: set[str]) -> None:
    assert {hit.path.name for hit in said.search("anything", where=where, k=10)} == names


def test_clients_are_told_the_words_of_a_file(said: Collection, said_folder: Path) -> None:
    app = create_app(said.folder, settings=SETTINGS, roots=[said_folder])
    with TestClient(app, base_url=BASE) as client:
        wait_ready(client)
        asked = client.post("/v1/search", json={"text": "mast"}).json()
        hit = asked["hits"][0]
        assert (hit["by"][0], hit["language"], hit["box"]) == ("subtitles", "en", None)
        assert hit["moments"][0]["by"][0] == "subtitles"
        words = client.get(f"/v1/assets/{hit['asset_id']}").json()["words"]
        assert [(one["start_s"], one["text"], one["language"]) for one in words] == [
            (0.5, "We sail at dawn.", "en"),
            (0.5, "Wir segeln los.", "de"),
            (2.0, "Mind the mast.", "en"),
        ]
        talk = client.post("/v1/search", json={"text": "ankle"}).json()["hits"][0]
        words = client.get(f"/v1/assets/{talk['asset_id']}").json()["words"]
        assert [(one["text"], one["origin"]) for one in words] == [("A broken ankle.", "subtitles")]


@pytest.fixture(scope="module")
def asked(said_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service that hears with the reader for tests."""
    settings = replace(SETTINGS, speech_model="fake")
    folder = tmp_path_factory.mktemp("asked") / "collection"
    with Collection(folder, settings) as collection:
        collection.index(said_folder)
    app = create_app(folder, settings=settings, roots=[said_folder])
    with TestClient(app, base_url=BASE) as client:
        wait_ready(client)
        yield client


def spoken(words: str) -> bytes:
    sound = say(words, duration_s=1.0)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.sample_rate_hz)
        file.writeframes((sound.waveform * 32767).astype("<i2").tobytes())
    return out.getvalue()


def test_a_spoken_question_is_asked_by_its_words(asked: TestClient) -> None:
    files = {"say": ("question.wav", spoken("zebra lullaby"))}
    answer = asked.post("/v1/search", files=files).json()
    assert answer["heard"] == ["zebra lullaby"]
    assert answer["hits"][0]["name"] == "ballad.flac"
    typed = asked.post("/v1/search", json={"text": "zebra lullaby"}).json()
    assert typed["heard"] == []
    assert [hit["name"] for hit in answer["hits"]] == [hit["name"] for hit in typed["hits"]]


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (spoken(""), 422, "nothing said in question.wav"),
        (b"words are no sound", 422, "question.wav"),
    ],
)
def test_a_question_without_words_is_told_by_its_name(
    asked: TestClient, content: bytes, status: int, told: str
) -> None:
    answer = asked.post("/v1/search", files={"say": ("question.wav", content)})
    assert answer.status_code == status
    message = answer.json()["error"]["message"]
    assert told in message
    assert "query0" not in message
    assert "/tmp" not in message
