"""The service shows and sends what lies in a bucket, without a copy of it here."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from seehear.cli.commands_serve import _folder_tokens, _roots
from seehear.collection import Collection
from seehear.errors import ContentChangedError, MediaError
from seehear.limits import ServiceLimits
from seehear.server import create_app
from seehear.server.workers.shared import WorkerOptions
from seehear.sources import path_of
from tests.server.conftest import BASE, wait_ready
from tests.sources.conftest import SETTINGS
from tests.sources.servers import S3Server


@pytest.fixture
def indexed(bucket: str, tmp_path: Path, library: Collection) -> tuple[Path, str]:
    assert library.index(f"s3://{bucket}/lying").added == 11
    return tmp_path / "collection", bucket


@pytest.fixture
def client(indexed: tuple[Path, str]) -> Iterator[TestClient]:
    app = create_app(indexed[0], settings=SETTINGS)
    with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:
        wait_ready(client)
        yield client


def _asset(client: TestClient, name: str) -> dict[str, Any]:
    found = client.get("/v1/browse/items", params={"count": 100}).json()["items"]
    return next(item for item in found if item["name"] == name)


def test_pictures_ranges_clips_and_archives_are_streamed(
    client: TestClient,
    indexed: tuple[Path, str],
    media_folder: Path,
    bucket_files: Any,
    s3: S3Server,
) -> None:
    film, rose = _asset(client, "day.mp4"), _asset(client, "rose.png")
    content = (media_folder / "clips" / "day.mp4").read_bytes()
    for item in (film, rose):
        drawn = client.get(f"/v1/assets/{item['asset_id']}/thumbnail", params={"px": 64})
        assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/webp")
    place = client.get(f"/v1/assets/{film['asset_id']}").json()["places"][0]
    assert (place["folder"], place["name"], place["online"]) == ("lying/clips", "day.mp4", True)

    media = f"/v1/assets/{film['asset_id']}/media"
    whole = client.get(media)
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["content-type"] == "video/mp4"
    part = client.get(media, headers={"range": "bytes=100-1099"})
    assert (part.status_code, part.content) == (206, content[100:1100])
    assert part.headers["content-range"] == f"bytes 100-1099/{len(content)}"
    again = client.get(media, headers={"range": "bytes=-10", "if-range": part.headers["etag"]})
    assert (again.status_code, again.content) == (206, content[-10:])
    assert client.get(media, headers={"range": "bytes=9999999-"}).status_code == 416
    assert client.head(media).headers["content-length"] == str(len(content))
    clip = client.get(f"/v1/assets/{film['asset_id']}/clip", params={"start_s": 1.0, "stop_s": 2.0})
    assert clip.status_code == 200
    assert clip.content[4:8] == b"ftyp"
    archive = client.get("/v1/download", params={"assets": str(film["asset_id"])})
    with zipfile.ZipFile(io.BytesIO(archive.content)) as files:
        assert files.read("day.mp4") == content

    # Other content at the same place is neither drawn nor sent.
    name = f"{indexed[1]}/lying/photos/rose.png"
    bucket_files.pipe_file(name, bucket_files.cat_file(f"{indexed[1]}/lying/photos/sky.png"))
    for what in ("thumbnail?px=77", "media"):
        answer = client.get(f"/v1/assets/{rose['asset_id']}/{what}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "changed")
    # A bucket that gives nothing is told in one line, without what S3 said.
    s3.refuse = lambda method, path: (403, "AccessDenied")
    answer = client.get(media)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "offline")
    assert "access is denied" in answer.text
    assert "secret words" not in answer.text


def test_a_bucket_is_a_root_and_a_folder_of_a_token(indexed: tuple[Path, str]) -> None:
    root = f"s3://{indexed[1]}/lying"
    tokens = {"all": "all-of-it-0123456789", "photos": "photos-0123456789abcdef"}
    app = create_app(
        indexed[0],
        settings=SETTINGS,
        token=tokens["all"],
        folder_tokens={Path(f"{root}/photos"): tokens["photos"]},
        roots=[Path(root)],
    )
    headers = {name: {"authorization": f"Bearer {token}"} for name, token in tokens.items()}
    with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:
        wait_ready(client)
        status = client.get("/v1/status", headers=headers["all"]).json()
        assert [(one["label"], one["indexable"]) for one in status["roots"]] == [("lying", True)]
        job = client.post("/v1/index", json={}, headers=headers["all"]).json()
        for _ in range(200):
            told = client.get(f"/v1/index/{job['id']}", headers=headers["all"]).json()
            if told["state"] not in {"running", "waiting"}:
                break
            time.sleep(0.1)
        assert (told["state"], told["report"]["unchanged"]) == ("done", 11)
        assert not told["report"]["offline"]
        hits = client.get(
            "/v1/search", params={"text": "red", "k": 50}, headers=headers["photos"]
        ).json()["hits"]
        assert {hit["folder"] for hit in hits} == {"photos", "photos/2024"}


def test_roots_of_the_command_are_urls_or_folders(tmp_path: Path) -> None:
    (token := tmp_path / "token").write_text("0123456789abcdef01")
    url = path_of("s3://bucket/photos")
    assert _roots([str(url), str(tmp_path)], None) == [url, tmp_path]
    assert _roots([f"one={url}"], {"one": tmp_path}) == {"one": [url]}
    assert [*_folder_tokens([f"{url}/a b={token}"])] == [url / "a b"]
    options = WorkerOptions(tmp_path, SETTINGS, ServiceLimits(), (url, tmp_path), (), 1)
    assert WorkerOptions.from_json(options.to_json()).roots == (url, tmp_path)


def test_moments_are_cut_and_files_verified(
    indexed: tuple[Path, str],
    library: Collection,
    bucket_files: Any,
    tmp_path: Path,
    s3: S3Server,
) -> None:
    root = f"s3://{indexed[1]}/lying"
    hit = library.search("green", k=50, modalities="video")[0]
    (tmp_path / "cuts").mkdir()
    clip = library.cut([hit], tmp_path / "cuts").clips[0]
    assert str(clip.source) == str(hit.path)
    assert clip.path.read_bytes()[4:8] == b"ftyp"
    listed = library.cut([hit], tmp_path / "moments.m3u").list_path
    assert listed is not None
    assert str(hit.path) in listed.read_text()

    report = library.verify(hashes=True)
    assert report.hashes is not None
    assert report.hashes.deviations == ()
    bucket_files.rm(f"{indexed[1]}/lying/notes/garden.md")
    bucket_files.pipe_file(f"{indexed[1]}/lying/notes/page.html", b"<p>other</p>")
    report = library.verify(hashes=True)
    assert report.hashes is not None
    assert {(one.path.name, one.reason) for one in report.hashes.deviations} == {
        ("garden.md", "missing"),
        ("page.html", "changed"),
    }
    film = library.stored_file(hit.asset_id)
    bucket_files.pipe_file(str(hit.path).removeprefix("s3://"), b"other")
    with pytest.raises(ContentChangedError):
        film.open()
    s3.refuse = lambda method, path: (403, "AccessDenied")
    with pytest.raises(MediaError, match="access is denied"):
        film.open()
    assert library.cut([hit], tmp_path / "cuts", overwrite=True).failures[0][0] == hit.path
    assert str(library.index(root).offline[0].path) == root
