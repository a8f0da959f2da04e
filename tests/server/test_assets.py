"""Test single assets: their data, their thumbnails, their files in ranges."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from seehear.collection import Collection
from seehear.encoders.fake import concept
from seehear.server import create_app
from seehear.server.queries import thumbnail_address
from seehear.types import Modality
from tests.media import test_stored_file
from tests.server.conftest import SETTINGS, picture, wait_ready


def hit_of(client: TestClient, name: str, text: str = "red", **query: Any) -> dict[str, Any]:
    answer = client.post("/v1/search", json={"text": text, "k": 50, **query})
    hits: list[dict[str, Any]] = answer.json()["hits"]
    return next(hit for hit in hits if hit["name"] == name)


def test_an_asset_is_described_without_the_machines_paths(
    client: TestClient, media_folder: Path
) -> None:
    hit = hit_of(client, "flute.wav", "purple")
    answer = client.get(f"/v1/assets/{hit['asset_id']}")
    assert answer.status_code == 200
    told = answer.json()
    assert told["format"] == "wav"
    assert told["places"] == [{"name": "flute.wav", "folder": "media/sounds", "online": True}]
    assert told["duration_s"] == pytest.approx(8.0)
    assert told["segments_total"] == len(told["segments"]) > 3
    assert hit["segment_id"] in [segment["segment_id"] for segment in told["segments"]]
    assert str(media_folder) not in answer.text


def test_pictures(client: TestClient) -> None:
    for name, text, kind in (
        ("rose.png", "red", "image/webp"),
        ("day.mp4", "blue", "image/webp"),
        ("siren.wav", "red", "image/png"),
    ):
        hit = hit_of(client, name, text)
        answer = client.get(hit["thumbnail"])
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == kind
        assert max(Image.open(io.BytesIO(answer.content)).size) <= 320
        mark = answer.headers["etag"]
        again = client.get(hit["thumbnail"], headers={"if-none-match": mark})
        assert (again.status_code, again.content) == (304, b"")


def test_the_picture_of_a_page_is_that_page() -> None:
    assert thumbnail_address(7, Modality.TEXT, None, None, 3) == "/v1/assets/7/thumbnail?page=3"
    assert thumbnail_address(7, Modality.TEXT, None, None) is None
    assert thumbnail_address(7, Modality.IMAGE, None, None, 2) == "/v1/assets/7/thumbnail?page=2"
    assert thumbnail_address(7, Modality.IMAGE, None, None) == "/v1/assets/7/thumbnail"


def test_a_page_out_of_range_and_one_of_a_text(client: TestClient) -> None:
    hit = hit_of(client, "rose.png")
    base = f"/v1/assets/{hit['asset_id']}/thumbnail"
    assert client.get(f"{base}?page=0").status_code == 422
    assert client.get(f"{base}?page=1").status_code == 200
    (text,) = client.post(
        "/v1/search", json={"text": "red", "modalities": ["text"], "k": 1}
    ).json()["hits"]
    assert client.get(f"/v1/assets/{text['asset_id']}/thumbnail?page=1").status_code == 415


def test_the_frame_is_that_of_the_moment(client: TestClient) -> None:
    hit = hit_of(client, "day.mp4", "blue", modalities=["video"])
    base = f"/v1/assets/{hit['asset_id']}/thumbnail"

    def middle(start_s: float) -> tuple[int, int, int]:
        content = client.get(base, params={"start_s": start_s, "px": 64}).content
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        return picture.getpixel((picture.width // 2, picture.height // 2))  # type: ignore[return-value]

    green, blue = middle(1.0), middle(5.0)
    assert green[1] > green[2] + 50
    assert blue[2] > blue[1] + 50


def test_a_waveform(client: TestClient) -> None:
    hit = hit_of(client, "siren.wav")
    wave = client.get(f"/v1/assets/{hit['asset_id']}/waveform", params={"steps": 40}).json()
    assert wave["stop_s"] == pytest.approx(4.0, abs=0.01)
    assert len(wave["peaks"]) == 40
    assert 0.45 < max(wave["peaks"]) < 0.55


def test_the_file_comes_in_ranges(client: TestClient, media_folder: Path) -> None:
    content = (media_folder / "clips" / "day.mp4").read_bytes()
    hit = hit_of(client, "day.mp4", "blue")
    whole = client.get(hit["media"])
    assert whole.content == content
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    assert "sandbox" in whole.headers["content-security-policy"]
    assert whole.headers["content-disposition"].startswith("inline")
    part = client.get(hit["media"], headers={"range": "bytes=100-199"})
    assert part.status_code == 206
    assert part.content == content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(content)}"
    assert client.get(hit["media"], headers={"range": "bytes=-10"}).content == content[-10:]
    assert client.get(hit["media"], headers={"range": "bytes=99999999-"}).status_code == 416
    assert client.get(hit["media"], headers={"range": "bytes=x"}).status_code in {200, 400}
    head = client.head(hit["media"])
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(content)
    saved = client.get(hit["media"], params={"download": "true"})
    assert saved.headers["content-disposition"].startswith("attachment")


def test_html_is_never_sent_as_html(client: TestClient) -> None:
    hit = hit_of(client, "page.html", "yellow lemon")
    answer = client.get(hit["media"])
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/v1/assets/{hit['asset_id']}/thumbnail").status_code == 404
    assert client.get(f"/v1/assets/{hit['asset_id']}/waveform").status_code == 404


@pytest.mark.parametrize("what", ["", "/thumbnail", "/waveform", "/media"])
def test_what_is_not_there(client: TestClient, what: str) -> None:
    for name, status in (("999999", 404), ("-1", 422), ("x", 422), (str(1 << 70), 422)):
        answer = client.get(f"/v1/assets/{name}{what}")
        assert answer.status_code == status
        assert answer.json()["error"]["code"]
    assert client.get(f"/v1/assets/../../etc/passwd{what}").status_code == 404
    assert client.get(f"/v1/assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd{what}").status_code in {404, 422}


def test_bounds_of_pictures(client: TestClient) -> None:
    hit = hit_of(client, "siren.wav")
    base = f"/v1/assets/{hit['asset_id']}/thumbnail"
    for wrong in ("px=1", "px=99999", "start_s=-1", "start_s=nan", "start_s=5&stop_s=4"):
        assert client.get(f"{base}?{wrong}").status_code == 422, wrong
    assert client.get(f"{base}?start_s=500000").status_code < 500


def test_files_that_went_or_changed(tmp_path: Path, start: Any) -> None:
    photo = picture(tmp_path / "media" / "a.png", "red")
    other = picture(tmp_path / "media" / "b.png", "blue")
    with Collection(tmp_path / "collection", SETTINGS) as collection:
        collection.index(tmp_path / "media")
    client = start(create_app(tmp_path / "collection", settings=SETTINGS))
    wait_ready(client)
    gone, changed = hit_of(client, "a.png"), hit_of(client, "b.png")
    photo.unlink()
    other.write_bytes(b"something else of another size")
    assert client.get(gone["media"]).json()["error"]["code"] == "offline"
    assert client.get(gone["thumbnail"]).json()["error"]["code"] == "offline"
    assert client.get(changed["media"]).json()["error"]["code"] == "changed"
    assert client.get(changed["thumbnail"]).json()["error"]["code"] == "changed"
    assert client.get(f"/v1/assets/{gone['asset_id']}").json()["places"][0]["online"] is False


def test_updates_by_another_process_show_up(tmp_path: Path, start: Any) -> None:
    picture(tmp_path / "media" / "a.png", "red")
    with Collection(tmp_path / "collection", SETTINGS) as collection:
        collection.index(tmp_path / "media")
    client = start(create_app(tmp_path / "collection", settings=SETTINGS))
    wait_ready(client)
    assert hit_of(client, "a.png")
    picture(tmp_path / "media" / "new.png", "green")
    command = [sys.executable, "-m", "seehear", "index", str(tmp_path / "media")]
    where = ["--collection", str(tmp_path / "collection"), "--device", "cpu"]
    subprocess.run([*command, *where], check=True, capture_output=True)

    def names() -> list[str]:
        answer = client.post("/v1/search", json={"text": "green"})
        return [hit["name"] for hit in answer.json()["hits"]]

    assert names()[0] == "new.png"
    (tmp_path / "media" / "new.png").unlink()
    with Collection(tmp_path / "collection", SETTINGS) as collection:
        collection.index(tmp_path / "media")
    assert names() == ["a.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
@pytest.mark.parametrize("replaced", [*test_stored_file.GONE, *test_stored_file.CHANGED])
def test_what_took_the_place_of_a_file_is_neither_sent_nor_drawn(
    replaced: Callable[[Any], None], tmp_path: Path, start: Any
) -> None:
    """Between the scan and the answer; nothing of it is kept under the old hash either."""
    (tmp_path / "outside").mkdir()
    secret = picture(tmp_path / "outside" / "a.png", "green")
    photo = picture(tmp_path / "root" / "folder" / "a.png", "red")
    with Collection(tmp_path / "collection", SETTINGS) as collection:
        collection.index(tmp_path / "root")
    client = start(create_app(tmp_path / "collection", settings=SETTINGS))
    wait_ready(client)
    hit = hit_of(client, "a.png")
    original = photo.read_bytes()
    assert client.get(hit["media"]).content == original
    replaced(SimpleNamespace(path=str(photo), root=str(tmp_path / "root")))
    code = "changed" if replaced in test_stored_file.CHANGED else "offline"
    status = {"changed": 409, "offline": 404}[code]
    for address in (hit["media"], hit["thumbnail"]):
        answer = client.get(address)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert secret.read_bytes() not in answer.content
        assert str(tmp_path) not in answer.text
    # Back again, it is served again.
    if photo.is_symlink() or photo.is_fifo():
        photo.unlink()
    if photo.parent.is_symlink():
        photo.parent.unlink()
        photo.parent.mkdir()
    if photo.is_dir():
        photo.rmdir()
    photo.write_bytes(original)
    assert client.get(hit["media"]).content == original
    assert client.get(hit["media"], headers={"range": "bytes=1-9"}).content == original[1:10]
    assert client.get(hit["thumbnail"]).status_code == 200


def test_a_moment_is_cut(client: TestClient) -> None:
    hit = hit_of(client, "day.mp4", "blue", modalities=["video"])
    assert hit["moment_url"] == f"/moment/{hit['asset_id']}#{hit['address'].partition('#')[2]}"
    assert hit["moments"][0]["address"] == hit["address"]
    base = f"/v1/assets/{hit['asset_id']}/clip"
    answer = client.get(f"{base}?start_s=3.2&stop_s=4.4&handles_s=0.1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    assert (
        "attachment; filename*=UTF-8''day%2000.00.03.2-00.00.04.4.mp4"
        in (answer.headers["content-disposition"])
    )
    assert float(answer.headers["x-clip-start"]) == pytest.approx(3.0, abs=0.15)
    with av.open(io.BytesIO(answer.content), "r") as clip:
        frame = next(clip.decode(video=0)).to_ndarray(format="rgb24")
        assert (clip.duration or 0) / 1e6 == pytest.approx(1.5, abs=0.3)
    assert np.allclose(frame[60, 80], concept("blue").rgb, atol=25)


def test_what_is_not_cut(client: TestClient) -> None:
    photo, sound = hit_of(client, "rose.png"), hit_of(client, "siren.wav")
    cut = f"/v1/assets/{sound['asset_id']}/clip"
    assert client.get(f"{cut}?start_s=0&stop_s=61").status_code == 422
    assert client.get(f"{cut}?start_s=2&stop_s=1").status_code == 422
    assert client.get(f"{cut}?start_s=0").status_code == 422
    assert client.get(f"{cut}?start_s=50&stop_s=51").status_code == 422
    assert client.get(f"/v1/assets/{photo['asset_id']}/clip?start_s=0&stop_s=1").status_code == 404
    assert client.get("/v1/assets/99999/clip?start_s=0&stop_s=1").status_code == 404


def test_what_stands_apart_and_what_stands_for_the_rest(client: TestClient) -> None:
    unusual = client.get("/v1/unusual?k=1&modalities=image").json()
    assert [one["modality"] for one in unusual] == ["image"]
    assert client.get(unusual[0]["thumbnail"]).status_code == 200
    assert unusual[0]["moment_url"] == f"/moment/{unusual[0]['asset_id']}"
    typical = client.get("/v1/typical?k=2&under=media/photos").json()
    assert sum(one["stands_for"] for one in typical) == 5
    assert {one["folder"].partition("/")[0] for one in typical} == {"media"}
    assert "path" not in typical[0]
    for wrong in ("k=0", "modalities=smell", "where=colour = blue", "under=nowhere"):
        assert client.get(f"/v1/typical?{wrong}").status_code == 422, wrong
