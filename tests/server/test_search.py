"""The query endpoints: by words, by files, combined, and all that is refused."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from seehear.collection import Collection
from seehear.limits import ServiceLimits
from seehear.server import create_app
from seehear.server.schemas import SearchAnswer, SearchRequest
from seehear.server.uploads import FILE_FIELDS
from seehear.types import PartExplanation
from tests.server.conftest import SETTINGS, picture, sound, wait_ready


def found(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.post("/v1/search", json=query)
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["hits"]
    return hits


def test_words_find_every_kind(client: TestClient) -> None:
    names = {hit["name"]: hit for hit in found(client, text="red")}
    assert {"rose.png", "siren.wav"} <= set(names)
    assert [hit["rank"] for hit in found(client, text="red")] == list(range(1, len(names) + 1))
    rose = names["rose.png"]
    assert rose["folder"] == "media/photos"
    assert rose["modality"] == rose["matched"] == "image"
    assert 0 <= rose["score"] <= 1
    assert (rose["width_px"], rose["height_px"]) == (160, 120)
    siren = names["siren.wav"]
    assert siren["stop_s"] > siren["start_s"] >= 0


def test_the_answers_are_the_librarys(client: TestClient, collection_folder: Path) -> None:
    with Collection(collection_folder, SETTINGS) as collection:
        for text in ("red", "the green frog", "something blue at night", "zebra"):
            hits = found(client, text=text, k=7)
            expected = collection.search(text, k=7)
            assert [h["segment_id"] for h in hits] == [h.segment_id for h in expected]
            # Two openings of a collection may differ in the last bits of a sum of products.
            assert [h["score"] for h in hits] == pytest.approx(
                [h.score for h in expected], abs=2e-4
            )
            assert [h["weak"] for h in hits] == [h.weak for h in expected]


@pytest.mark.parametrize("more", [{}, {"explain": True}, {"moments": 3}, {"mode": "words"}])
def test_an_answer_is_what_the_document_says(client: TestClient, more: dict[str, Any]) -> None:
    """Field by field, none missing and none beyond: nothing else checks it on its way out."""
    for text in ("red", "green frog", "zebra"):
        told = client.post("/v1/search", json={"text": text, **more}).content
        answer = SearchAnswer.model_validate_json(told)
        assert answer.model_dump(mode="json") == json.loads(told)


def test_why_is_told_whole(client: TestClient) -> None:
    (term,) = found(client, text="red", explain=True, k=1)[0]["why"]
    names = {field.name for field in dataclasses.fields(PartExplanation)}
    assert set(term) == names


def test_a_moment_of_a_video_is_named(client: TestClient) -> None:
    hits = found(client, text="blue", modalities=["video"], k=1)
    assert hits[0]["name"] == "day.mp4"
    assert 2.5 <= hits[0]["start_s"] < hits[0]["stop_s"] <= 6.5
    assert client.get(hits[0]["thumbnail"]).status_code == 200


def test_words_for_types_and_formats(client: TestClient) -> None:
    photos = found(client, text="red", modalities=["photos"])
    assert photos == found(client, text="red", modalities=["image"])
    assert {hit["modality"] for hit in photos} == {"image"}
    assert found(client, text="red", where="type = sounds and format = wave")


def test_an_unknown_folder_names_the_nearest_by_its_label(client: TestClient) -> None:
    answer = client.post("/v1/search", json={"text": "red", "under": "media/photo"})
    assert answer.status_code == 422
    assert answer.json()["error"] == {
        "code": "bad_query",
        "message": 'No folder "media/photo". Did you mean media/photos?',
        "type": "invalid_request_error",
    }


def test_filters(client: TestClient) -> None:
    assert {
        hit["modality"] for hit in found(client, text="green", modalities=["text", "video"])
    } <= {
        "text",
        "video",
    }
    below = found(client, text="red", under="media/photos/2024")
    assert {hit["folder"] for hit in below} == {"media/photos/2024"}
    assert len(found(client, text="red", k=3)) == 3
    assert all(hit["score"] >= 0.5 for hit in found(client, text="red", min_score=0.5))


def test_filters_name_folders_by_label(client: TestClient, media_folder: Path) -> None:
    below = found(client, text="red", where="folder = media/photos/2024")
    assert {hit["folder"] for hit in below} == {"media/photos/2024"}
    for pattern in ("photos", "'media/photos/*'", "'*DIA/phot?s/*'", "'m*/photos*'"):
        hits = found(client, text="red", where=f"folder ~ {pattern}")
        assert {hit["folder"].split("/")[1] for hit in hits} == {"photos"}, pattern
    others = found(client, text="red", where="folder !~ photos", k=50)
    assert others
    assert not any("photos" in hit["folder"] for hit in others)
    wrong = client.post("/v1/search", json={"text": "red", "where": "folder = media/photo"})
    told = wrong.json()["error"]["message"]
    assert told == 'No folder "media/photo". Did you mean media/photos?'


def test_a_filter_tells_nothing_of_the_machine(client: TestClient, media_folder: Path) -> None:
    """Paths and accounts that exist get the answers of those that do not."""

    def told(value: str, operator: str = "=") -> tuple[int, str]:
        where = f"folder {operator} '{value}'"
        answer = client.post("/v1/search", json={"text": "red", "where": where})
        return answer.status_code, answer.text.replace(value.lstrip("/"), "X")

    for there, missing in (("/etc", "/nowhere"), ("~root", "~no-such-account"), ("/", "//x")):
        assert told(there)[0] == told(missing)[0] == 422
    assert told(str(media_folder))[0] == told("/no/such/folder")[0] == 422
    inside = str(media_folder.parent)
    for pattern in (f"{inside}*", f"*{media_folder.parent.name}*", f"{inside[:4]}*"):
        assert told(pattern, "~")[0] in (200, 422)
        assert '"rank"' not in told(pattern, "~")[1]


@pytest.mark.parametrize("where", ["modified < 0001", "modified > 9999", "taken != 0001"])
def test_any_date_is_answered(client: TestClient, where: str) -> None:
    assert client.post("/v1/search", json={"text": "red", "where": where}).status_code == 200


def test_it_takes_all_that_the_library_takes() -> None:
    """A new argument of Collection.search must find its way here, or be named as a file's field."""
    arguments = set(inspect.signature(Collection.search).parameters) - {"self"}
    fields = set(SearchRequest.model_fields)
    as_files = {
        "image": "image",
        "audio": "audio",
        "video": "video",
        "without_files": "without_file",
    }
    # Vectors are for programs alone; a list as `text` is what `all_of` names.
    assert arguments - fields - {"vectors", "all_of"} == set(as_files)
    assert set(as_files.values()) | {"file", "say"} == set(FILE_FIELDS)


@pytest.mark.parametrize(
    "asked",
    [
        {"where": "kind = video or width > 100"},
        {"where": "name ~ rose"},
        {"mode": "words"},
        {"mode": "semantic"},
        {"moments": 5},
        {"diverse": True},
        {"show_duplicates": True},
        {"min_score": 0.3},
        {"modalities": ["image", "text"]},
        {"without": "white"},
        {"without": ["white", "blue"], "k": 3},
        {"text": ["red", "green frog"]},
        {"explain": True},
    ],
    ids=str,
)
def test_each_wish_is_answered_as_by_the_library(
    client: TestClient, collection_folder: Path, asked: dict[str, Any]
) -> None:
    query = {"text": "red", **asked}
    with Collection(collection_folder, SETTINGS) as collection:
        expected = collection.search(**query)
    hits = found(client, **{"k": 10, **query})
    assert [h["segment_id"] for h in hits] == [h.segment_id for h in expected]
    assert [h["score"] for h in hits] == pytest.approx([h.score for h in expected], abs=2e-4)
    assert [len(h["moments"]) for h in hits] == [len(h.moments) for h in expected]
    assert [len(h["duplicates"]) for h in hits] == [len(h.duplicates) for h in expected]
    assert [[t["part"] for t in h["why"]] for h in hits] == [
        [t.part for t in h.why] for h in expected
    ]


def test_nothing_is_fetched_and_no_path_is_taken(client: TestClient, media_folder: Path) -> None:
    """An address or a path is a sentence like any other, and no field takes either."""
    rose = media_folder / "photos" / "rose.png"
    for given in ("http://127.0.0.1:1/a.png", f"file://{rose}", str(rose)):
        assert isinstance(found(client, text=given), list)
        for field in ("image", "url", "path", "file"):
            form = {"text": (None, "x"), field: (None, given)}
            for answer in (
                client.post("/v1/search", json={"text": "x", field: given}),
                client.post("/v1/search", files=form),
            ):
                assert answer.status_code == 422
                told = answer.json()["error"]["message"]
                assert told.startswith(f'the object has no field "{field}".')
                assert "It has text, " in told
    assert client.post("/v1/search", files={"text": (None, "red")}).json()["hits"]


def test_the_excluded_sinks(client: TestClient) -> None:
    def rank(name: str, **query: Any) -> int:
        names = [hit["name"] for hit in found(client, modalities=["image"], k=50, **query)]
        return names.index(name) if name in names else 99

    assert rank("flag.png", text="red", without="white") > rank(
        "rose.png", text="red", without="white"
    )


def test_a_dropped_photo_and_a_dropped_sound(client: TestClient, tmp_path: Path) -> None:
    photo = picture(tmp_path / "any name.jpg", "green", size_px=(640, 480))
    answer = client.post("/v1/search", files={"file": photo.read_bytes()}, data={"k": "3"})
    assert answer.status_code == 200, answer.text
    assert "meadow.png" in [hit["name"] for hit in answer.json()["hits"]]
    wav = sound(tmp_path / "x.wav", "purple")
    answer = client.post(
        "/v1/search",
        files=[("audio", ("x.wav", wav.read_bytes()))],
        data={"modalities": ["audio", "text"], "k": "1"},
    )
    assert answer.json()["hits"][0]["name"] == "flute.wav"


def test_parts_have_weights_and_files_can_be_excluded(client: TestClient, tmp_path: Path) -> None:
    photo = picture(tmp_path / "white.png", "white").read_bytes()
    form = {
        "text": "red",
        "parts": json.dumps([{"upload": 0, "exclude": True, "weight": 2.0}]),
        "modalities": "image",
        "explain": "true",
    }
    answer = client.post("/v1/search", files={"file": ("white.png", photo)}, data=form)
    assert answer.status_code == 200, answer.text
    assert answer.json()["hits"][0]["name"] == "rose.png"
    for hit in answer.json()["hits"]:
        assert {(term["part"], term["exclude"]) for term in hit["why"]} <= {
            ("red", False),
            ("white.png", True),
        }
    only = client.post(
        "/v1/search", files={"without_file": ("white.png", photo)}, data={"text": "red"}
    )
    assert only.status_code == 200


def test_more_like_this_and_not_this(client: TestClient) -> None:
    rose = next(hit for hit in found(client, text="red") if hit["name"] == "rose.png")
    alike = found(client, like=[rose["segment_id"]], modalities=["image"])
    assert {"rose.png", "flag.png"} & {hit["name"] for hit in alike[:3]}
    less = found(client, text="red", unlike=[rose["segment_id"]], k=50)
    assert less


def test_nothing_stands_out_is_said(client: TestClient) -> None:
    answer = client.post("/v1/search", json={"text": "quixotic zebra parade"}).json()
    assert answer["stands_out"] == any(not hit["weak"] for hit in answer["hits"])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"text": "x", "under": "s3://bucket/x"}, 'No folder "s3://bucket/x". The folders are'),
        ({"text": "x", "where": 'folder = "https://host/a b"'}, 'No folder "https://host/a b".'),
        ({}, "Say what to look for"),
        ({"text": ""}, "Say what to look for"),
        ({"text": "   "}, "Say what to look for"),
        ({"without": "x"}, "not only what to exclude"),
        ({"text": "x", "k": 0}, "k:"),
        ({"text": "x", "k": 5000}, "from 1 to 1000, not 5000"),
        ({"text": "x", "min_score": 2}, "min_score"),
        ({"text": "x", "modalities": ["smell"]}, "modalities"),
        ({"text": "x", "colour": "red"}, "colour"),
        ({"text": ["x"] * 40}, "at most 32 parts"),
        ({"text": "x" * 10_001}, "10000 characters"),
        ({"text": "a\0b"}, "NUL"),
        ({"parts": [{"weight": 1}]}, "either"),
        ({"parts": [{"text": " "}]}, "Say what to look for"),
        ({"parts": [{"upload": 0}]}, "no file number 0"),
        ({"text": "x", "weights": [1, 2]}, "more weights than parts"),
        ({"text": "x", "weights": [0]}, "weights"),
        ({"text": "x", "weights": [101]}, "weights"),
        ({"text": "x", "moments": 101}, "moments"),
        ({"text": "x", "like": [1] * 65}, "like"),
        ({"parts": [{"text": "x", "weight": -1}]}, "weight"),
        ({"text": "x", "under": "/etc"}, 'No folder "etc"'),
        ({"text": "x", "under": "media/../.."}, "not a folder"),
        ({"text": "x", "where": "colour = red"}, "colour"),
        ({"text": "x", "modalities": ["fotos"]}, 'No type "fotos". Did you mean photo'),
        ({"text": "x", "where": "format = jpgg"}, 'No format "jpgg". '),
        ({"text": "x", "where": "folder = /etc"}, 'No folder "etc". The indexed folders are media'),
    ],
)
def test_a_bad_query_is_told_in_one_line(
    client: TestClient, query: dict[str, Any], message: str
) -> None:
    answer = client.post("/v1/search", json=query)
    assert answer.status_code == 422, answer.text
    told = answer.json()["error"]["message"]
    assert message in told
    assert "\n" not in told


def test_bodies_that_are_none(client: TestClient) -> None:
    def status(content: bytes, kind: str) -> int:
        answer = client.post("/v1/search", content=content, headers={"content-type": kind})
        assert answer.json()["error"]["message"]
        return answer.status_code

    assert status(b"{", "application/json") == 422
    assert status(b"[]", "application/json") == 422
    assert status(b"\xff\xfe", "application/json") == 422
    assert status(b'{"text": "\\ud800"}', "application/json") == 422
    assert status(b"text=x", "application/x-www-form-urlencoded") == 415
    assert status(b'{"text": "x"}', "text/plain") == 415
    assert status(b"x", "") == 415
    assert status(b"rubbish", "multipart/form-data; boundary=x") in {400, 422}
    assert status(b"rubbish", "multipart/form-data") == 400


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"", "empty.jpg", 422, "broken_media"),
        (b"\xff\xd8\xff\xe0 no picture", "broken.jpg", 422, "broken_media"),
        (b"MZ\x90\x00" + bytes(200), "virus.exe", 415, "unsupported_media"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "cut.wav", 422, "broken_media"),
    ],
)
def test_a_file_that_cannot_be_read(
    client: TestClient, content: bytes, name: str, status: int, code: str
) -> None:
    answer = client.post("/v1/search", files={"file": (name, content)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    told = answer.json()["error"]["message"]
    assert name in told
    assert "/" not in told.replace("image/", "")


def test_the_kind_of_a_file_is_checked(client: TestClient, tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png", "red").read_bytes()
    answer = client.post("/v1/search", files={"audio": ("a.png", photo)})
    assert answer.status_code == 422
    assert "a.png is a picture, not a sound" in answer.json()["error"]["message"]
    answer = client.post("/v1/search", files={"photo": ("a.png", photo)})
    assert "files are sent as" in answer.json()["error"]["message"]


def test_limits_on_uploads(collection_folder: Path, tmp_path: Path, start: Any) -> None:
    limits = ServiceLimits(upload_bytes=20_000, files=2, query_pixels=10_000, query_duration_s=1.5)
    app = create_app(collection_folder, settings=SETTINGS, limits=limits)
    client = start(app)
    wait_ready(client)

    def sent(*files: tuple[str, bytes]) -> Any:
        return client.post("/v1/search", files=[("file", file) for file in files])

    small = picture(tmp_path / "s.png", "red", size_px=(50, 50)).read_bytes()
    large = picture(tmp_path / "l.png", "red", size_px=(200, 200)).read_bytes()
    assert sent(("s.png", small)).status_code == 200
    short = sound(tmp_path / "s.wav", "red", seconds=0.5).read_bytes()
    assert sent(("s.wav", short)).status_code == 200
    long = shorn(sound(tmp_path / "l.wav", "red", seconds=1.6)).read_bytes()
    for name, content, code in (
        ("l.png", large, "media_too_large"),
        ("l.wav", long, "media_too_large"),
        ("x.png", small + bytes(30_000), "too_large"),
    ):
        answer = sent((name, content))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, code), answer.text
    assert sent(*[("s.png", small)] * 3).status_code == 400


def shorn(path: Path) -> Path:
    """A wav file as FLAC: as long, and much smaller."""
    import av

    with av.open(str(path)) as given, av.open(str(path.with_suffix(".flac")), "w") as made:
        stream = made.add_stream("flac", rate=16_000)
        stream.layout = "mono"
        for frame in given.decode(audio=0):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path.with_suffix(".flac")


def test_a_new_collection_answers_that_it_is_empty(tmp_path: Path, start: Any) -> None:
    app: FastAPI = create_app(tmp_path / "new", settings=SETTINGS)
    client = start(app)
    wait_ready(client)
    assert found(client, text="red", where="width > 5") == []
    for wrong in ({}, {"text": " "}, {"text": "red", "where": "nonsense >"}):
        answer = client.post("/v1/search", json=wrong)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_query"), wrong
    assert client.get("/v1/status").json()["assets"] == 0
    assert client.post("/v1/index", json={}).json()["error"]["code"] == "no_roots"
