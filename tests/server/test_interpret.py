"""Filters in the words of a query, over HTTP, from a worker and for an assistant."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from seehear.collection import Collection
from seehear.server import create_app
from tests.server.conftest import BASE, SETTINGS, Running, picture, until, wait_ready

TEXT = "red in June 2020 with Leica"
BOTH_QUOTES = "phone \" with ' quotes"


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two summers and three cameras, and a sound of neither."""
    folder = tmp_path_factory.mktemp("cameras")
    for year, camera in (("2020", "Leica"), ("2021", "Brownie"), ("2022", BOTH_QUOTES)):
        photo = picture(folder / "media" / f"{year}.jpg", "red", "white", "blue")
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"{year}:06:15 12:00:00"  # DateTimeOriginal
        exif[0x0110] = camera
        Image.open(photo).save(photo, exif=exif)
    with Collection(folder / "collection", SETTINGS) as collection:
        assert collection.index(folder / "media").failed == 0
    return folder


@pytest.fixture(scope="module")
def client(cameras: Path) -> Any:
    with TestClient(create_app(cameras / "collection", settings=SETTINGS), base_url=BASE) as client:
        wait_ready(client)
        yield client


def searched(client: TestClient, **query: Any) -> tuple[list[str], dict[str, Any] | None]:
    query = {"text": TEXT, "show_duplicates": True, **query}
    answer = client.post("/v1/search", json=query)
    assert answer.status_code == 200, answer.text
    return sorted(hit["name"] for hit in answer.json()["hits"]), answer.json()["interpretation"]


def words(filters: list[dict[str, Any]]) -> list[str]:
    return [one["words"] for one in filters]


def test_words_are_read_and_nothing_is_searched(client: TestClient) -> None:
    told = client.get("/v1/interpret", params={"text": f"  {TEXT} "}).json()
    assert told["rest"] == "red with Leica"
    assert told["where"] == "taken >= 2020-06-01 and taken < 2020-07-01"
    (june,) = told["taken"]
    assert told["text"][june["first"] : june["last"]] == june["words"] == "in June 2020"
    assert june["told"] == "taken in June 2020"
    assert client.get("/v1/interpret").status_code == 422
    assert client.get("/v1/interpret", params={"text": "x" * 10_001}).status_code == 422
    long = client.get("/v1/interpret", params={"text": f"{TEXT} {'word ' * 100}"}).json()
    assert long["taken"] == []  # a page of text is content


@pytest.mark.parametrize(
    ("wish", "names", "taken"),
    [
        ({}, ["2020.jpg", "2021.jpg", "2022.jpg"], None),
        ({"as_written": True, "take": False}, ["2020.jpg", "2021.jpg", "2022.jpg"], None),
        ({"as_written": False}, ["2020.jpg"], ["in June 2020"]),
        ({"as_written": ["in June 2020"]}, ["2020.jpg", "2021.jpg", "2022.jpg"], []),
        ({"as_written": ["in June"]}, ["2020.jpg"], ["in June 2020"]),
        ({"text": "red 2021", "as_written": False}, ["2020.jpg", "2021.jpg", "2022.jpg"], []),
        ({"text": "red 2021", "take": True}, ["2021.jpg"], ["2021"]),
        ({"text": "red 2021", "take": ["2021"]}, ["2021.jpg"], ["2021"]),
        ({"text": ["red 2021"], "take": ["2022"]}, ["2020.jpg", "2021.jpg", "2022.jpg"], []),
        ({"as_written": True, "take": ["in June 2020"]}, ["2020.jpg"], ["in June 2020"]),
        ({"as_written": False, "where": "camera = Brownie or width > 9"}, ["2020.jpg"],
         ["in June 2020"]),
        ({"text": ["red in June 2020", "blue"], "as_written": False},
         ["2020.jpg", "2021.jpg", "2022.jpg"], None),
        ({"text": "red on my phone", "as_written": False},
         ["2020.jpg", "2021.jpg", "2022.jpg"], []),
    ],
)  # fmt: skip
def test_a_search_takes_what_it_is_asked_to(
    client: TestClient, wish: dict[str, Any], names: list[str], taken: list[str] | None
) -> None:
    found, reading = searched(client, **wish)
    assert found == names
    assert (None if reading is None else words(reading["taken"])) == taken


def test_a_filter_that_no_file_meets_is_told(client: TestClient) -> None:
    query = {"text": "red in June 1999", "as_written": False}
    answer = client.post("/v1/search", json=query).json()
    assert answer["notes"] == [
        'No file for the filter "taken in June 1999": searching for its words.'
    ]
    assert client.post("/v1/search", json=query | {"typing": True}).json()["notes"] == []


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"as_written": "false"}, ["2020.jpg"]),
        ({"take": "true", "text": "2021"}, ["2021.jpg"]),
        ({"take": ["2021", "2022"], "text": "2021"}, ["2021.jpg"]),
        ({"as_written": ["in June 2020"]}, ["2020.jpg", "2021.jpg", "2022.jpg"]),
    ],
)
def test_a_form_says_the_same(
    client: TestClient, tmp_path: Path, fields: dict[str, Any], names: list[str]
) -> None:
    photo = picture(tmp_path / "asked.png", "blue")
    data = {"text": "in June 2020", "show_duplicates": "true", **fields}
    with photo.open("rb") as file:
        answer = client.post("/v1/search", data=data, files={"image": file}).json()
    assert sorted(hit["name"] for hit in answer["hits"]) == names


def test_words_that_are_a_filter_alone_do_not_weigh_on_the_rest(client: TestClient) -> None:
    """With a picture or a liked result the search is by that alone."""
    (first,) = client.post("/v1/search", json={"text": "red", "k": 1}).json()["hits"]
    query = {"text": "in June 2021", "as_written": False, "like": [first["segment_id"]]}
    with_words = client.post("/v1/search", json={**query, "explain": True}).json()["hits"]
    assert [hit["name"] for hit in with_words] == ["2021.jpg"]
    assert all("June" not in term["part"] for hit in with_words for term in hit["why"])


@pytest.mark.skipif(sys.platform != "linux", reason="processes share on Linux alone")
def test_a_worker_reads_the_same(cameras: Path, client: TestClient) -> None:
    import httpx

    app = create_app(cameras / "collection", settings=SETTINGS, workers=2)
    query = {"text": TEXT, "as_written": False, "take": ["with Leica"]}
    with Running(app) as server:
        until(lambda: len(app.state.service.workers.processes) == 2)
        answer = httpx.post(f"{server.address}/v1/search", json=query).json()
    own = client.post("/v1/search", json=query).json()
    assert answer["interpretation"] == own["interpretation"]
    assert words(own["interpretation"]["taken"]) == ["in June 2020", "with Leica"]
    assert [hit["name"] for hit in answer["hits"]] == ["2020.jpg"]


def test_an_assistant_is_told_what_may_be_a_filter(cameras: Path) -> None:
    pytest.importorskip("mcp")
    from tests.server.test_mcp import play

    async def scene(client: Any) -> None:
        async def told(**asked: Any) -> dict[str, Any]:
            answer = await client.call_tool("search_media", {"pictures": False, **asked})
            found: dict[str, Any] = json.loads(answer.content[0].text)
            return found

        first = await told(description="red in June 2020")
        (june,) = first["possible_filters"]
        assert june["words"] == "in June 2020"
        assert len(first["hits"]) > 0
        again = await told(description="red", where=june["where"])
        assert [hit["name"] for hit in again["hits"]] == ["2020.jpg"]
        assert "possible_filters" not in again

    play(cameras / "collection", scene)


def test_a_box_is_read_again_without_asking_the_catalog_again(
    cameras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cameras / "media", tmp_path / "media")
    asked: list[str] = []
    look_up = Collection.facets

    def facets(self: Collection, field: str, **limits: Any) -> Any:
        asked.append(field)
        return look_up(self, field, **limits)

    monkeypatch.setattr(Collection, "facets", facets)
    with Collection(tmp_path / "collection", SETTINGS) as collection:
        collection.index(tmp_path / "media")
        for _ in range(3):
            assert collection.interpret("red with my Kodak").where == ""
        assert asked.count("camera") == 1
        photo = tmp_path / "media" / "2020.jpg"
        exif = Image.Exif()
        exif[0x0110] = "Kodak"
        with Image.open(photo) as image:
            image.save(tmp_path / "media" / "new.jpg", exif=exif)
        collection.index(tmp_path / "media")
        assert collection.interpret("red with my Kodak").where == 'camera = "Kodak"'


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"k": 3, "count": 3}, "k and count are the same: give one of them"),
        ({"limit": 3, "count": 3}, "limit and count are the same: give one of them"),
        ({"kinds": ["image"], "modalities": ["image"]}, "kinds and modalities are the same"),
        ({"take": "sea"}, "take: Input should be a valid boolean.*; or: .* a valid "),
        ({"as_written": 3}, "as_written: Input should be a valid boolean"),
        ({"without": 3}, "without: Input should be a valid string; or: "),
        ({"kinds": ["zebra"]}, 'kinds.0: No type "zebra"'),
    ],
)
def test_a_wrong_field_is_named_as_it_was_sent(
    client: TestClient, given: dict[str, Any], told: str
) -> None:
    answer = client.post("/v1/search", json={"text": "x", **given})
    assert answer.status_code == 422
    assert re.match(told, answer.json()["error"]["message"])
