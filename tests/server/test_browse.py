"""Looking through a collection over HTTP: days, folders, kinds, and windows of files."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from seehear.collection import Collection
from seehear.server import create_app
from tests.server.conftest import BASE, SETTINGS, picture, wait_ready

KINDS = ["image", "video", "audio", "text"]


def groups(client: TestClient, **asked: Any) -> list[tuple[str, int]]:
    answer = client.get("/v1/browse", params=asked).json()
    assert answer["total"] == sum(group["count"] for group in answer["groups"])
    return [(group["key"], group["count"]) for group in answer["groups"]]


def listed(client: TestClient, **asked: Any) -> list[str]:
    answer = client.get("/v1/browse/items", params=asked).json()
    return [item["name"] for item in answer["items"]]


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of known and unknown days, one of them twice, in folders."""
    folder = tmp_path_factory.mktemp("dated") / "album"
    days = {"a/old": "2022:06:15 12:00:00", "b/noon": "2024:06:15 12:00:00",
            "b/dawn": "2024:06:15 05:00:00"}  # fmt: skip
    for number, (name, taken) in enumerate(days.items()):
        photo = picture(folder / f"{name}.jpg", "red", size_px=(160 + number, 120))
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = taken
        exif[0x0110] = "Brownie"
        Image.open(photo).save(photo, exif=exif)
    copy = folder / "b" / "z.jpg"
    copy.write_bytes((folder / "b" / "noon.jpg").read_bytes())
    note = folder / "b" / "note.md"
    note.write_text("A note without a date in it.")
    os.utime(note, (when := time.mktime((2023, 1, 2, 3, 4, 5, 0, 0, -1)), when))
    with Collection(folder.parent / "collection", SETTINGS) as collection:
        assert collection.index(folder).failed == 0
    return folder


@pytest.fixture(scope="module")
def album(dated: Path) -> Any:
    app = create_app(dated.parent / "collection", settings=SETTINGS, roots=[dated])
    with TestClient(app, base_url=BASE) as client:
        wait_ready(client)
        yield client


def test_days_come_newest_first_and_copies_count_once(album: TestClient) -> None:
    assert groups(album) == [("2024-06-15", 2), ("2023-01-02", 1), ("2022-06-15", 1)]
    assert listed(album) == ["noon.jpg", "dawn.jpg", "note.md", "old.jpg"]


def test_folders_and_kinds(album: TestClient) -> None:
    assert groups(album, by="folder") == [("album/a", 1), ("album/b", 3)]
    assert listed(album, by="folder") == ["old.jpg", "noon.jpg", "dawn.jpg", "note.md"]
    assert groups(album, by="kind") == [("image", 3), ("text", 1)]


def test_filters_are_those_of_a_search(album: TestClient) -> None:
    assert groups(album, modalities="text") == [("2023-01-02", 1)]
    assert groups(album, modalities=["text", "photos"], under="album/b") == [
        ("2024-06-15", 2),
        ("2023-01-02", 1),
    ]
    assert listed(album, where="taken < 2024") == ["old.jpg"]
    for asked, told in (
        ({"under": "albun/b"}, "No folder"),
        ({"under": "album/bb"}, "Did you mean album/b?"),
        ({"where": "camera = Browni"}, "Did you mean Brownie?"),
        ({"where": "camera ="}, "incomplete"),
        ({"modalities": "fotos"}, "Did you mean photo"),
    ):
        answer = album.get("/v1/browse", params=asked)
        assert answer.status_code == 422
        assert told in answer.json()["error"]["message"], asked


def test_items_have_what_a_card_shows(album: TestClient) -> None:
    items = album.get("/v1/browse/items").json()["items"]
    noon, _, note, _ = items
    assert (noon["camera"], noon["taken_at"], noon["folder"]) == (
        *("Brownie", "2024-06-15T12:00:00"),
        "album/b",
    )
    assert album.get(noon["thumbnail"]).status_code == 200
    assert note["snippet"] == "A note without a date in it."
    assert note["thumbnail"] is None
    # Its segment is one that a search takes.
    assert album.post("/v1/search", json={"like": [noon["segment_id"]]}).status_code == 200


def test_windows_make_the_whole(client: TestClient) -> None:
    whole = listed(client)
    assert len(whole) == 11
    parts = [name for start in range(0, 12, 4) for name in listed(client, start=start, count=4)]
    assert parts == whole
    assert listed(client, start=11) == []
    assert sorted(whole) == sorted(listed(client, by="kind"))
    assert [key for key, _ in groups(client, by="kind")] == KINDS
    for wrong in ({"count": 0}, {"count": 501}, {"start": -1}, {"by": "colour"}):
        assert client.get("/v1/browse/items", params=wrong).status_code == 422


def test_a_changed_collection_has_another_version(tmp_path: Path) -> None:
    media = tmp_path / "media"
    picture(media / "one.png", "red")
    folder = tmp_path / "collection"
    with Collection(folder, SETTINGS) as collection:
        collection.index(media)
        app = create_app(folder, settings=SETTINGS, roots=[media])
        with TestClient(app, base_url=BASE) as client:
            wait_ready(client)
            first = client.get("/v1/browse").json()
            picture(media / "two.png", "blue")
            collection.index(media)
            # A window of the version that the page knows stays what it was.
            window = client.get("/v1/browse/items", params={"version": first["version"]}).json()
            assert [item["name"] for item in window["items"]] == ["one.png"]
            second = client.get("/v1/browse").json()
            assert (first["total"], second["total"]) == (1, 2)
            assert first["version"] != second["version"]
            (media / "one.png").rename(media / "three.png")
            collection.index(media)
            assert client.get("/v1/browse").json()["version"] != second["version"]
            assert sorted(listed(client)) == ["three.png", "two.png"]
            os.utime(media / "two.png", (0, 0))
            collection.index(media)
            assert groups(client)[-1][0] == datetime.fromtimestamp(0).date().isoformat()


def test_an_empty_collection_has_nothing_to_look_at(tmp_path: Path) -> None:
    app = create_app(tmp_path / "collection", settings=SETTINGS)
    with TestClient(app, base_url=BASE) as client:
        wait_ready(client)
        assert groups(client) == []
        assert listed(client) == []
        assert groups(client, modalities="image", under="", where="taken > 2020") == []
