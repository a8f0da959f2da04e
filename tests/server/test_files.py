"""Several files as one archive, and files shown in their folder."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from starlette.testclient import TestClient

from seehear.collection import Collection
from seehear.errors import UsageError
from seehear.server import create_app, routes_files, serve
from seehear.server.zip_stream import unique_names, zip_stream
from tests.server.conftest import BASE, SETTINGS, make_media, picture, wait_ready


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def everything(client: TestClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get("/v1/browse/items").json()["items"]
    return items


def test_files_come_as_one(client: TestClient, media_folder: Path) -> None:
    chosen = everything(client)
    numbers = ",".join(str(item["asset_id"]) for item in [*chosen, chosen[0]])
    answer = client.get("/v1/download", params={"assets": numbers})
    assert answer.headers["content-disposition"] == 'attachment; filename="seehear.zip"'
    files = unpacked(answer.content)
    assert set(files) == {item["name"] for item in chosen}
    for item in chosen:
        original = media_folder.parent / item["folder"] / item["name"]
        assert files[item["name"]] == original.read_bytes()


@pytest.mark.parametrize("wrong", ["", "x", "1,,2", "-1", "1 2", "1,2,", "1" * 40])
def test_what_is_no_list_of_numbers_is_refused(client: TestClient, wrong: str) -> None:
    assert client.get("/v1/download", params={"assets": wrong}).status_code == 422


def test_too_many_and_unknown_files(client: TestClient) -> None:
    many = ",".join(map(str, range(1001)))
    assert client.get("/v1/download", params={"assets": many}).status_code == 422
    assert client.get("/v1/download", params={"assets": "987654321"}).status_code == 404


def test_a_file_that_is_gone_is_named_in_the_archive(tmp_path: Path) -> None:
    media = tmp_path / "media"
    for name in ("a.png", "b.png"):
        picture(media / name, "red" if name[0] == "a" else "blue")
    with Collection(tmp_path / "collection", SETTINGS) as collection:
        collection.index(media)
    app = create_app(tmp_path / "collection", settings=SETTINGS)
    with TestClient(app, base_url=BASE) as client:
        wait_ready(client)
        numbers = ",".join(str(item["asset_id"]) for item in everything(client))
        (media / "a.png").unlink()
        files = unpacked(client.get("/v1/download", params={"assets": numbers}).content)
        assert set(files) == {"b.png", "files that are missing.txt"}
        assert files["files that are missing.txt"] == b"a.png\n"


class Breaking(io.BytesIO):
    """A drive that is pulled out in the middle of a file."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError("gone")
        return super().read(3)


def test_the_archive_is_made_while_it_is_sent() -> None:
    opened: list[str] = []

    def opener(name: str, file: BinaryIO) -> Any:
        def open_file() -> BinaryIO:
            opened.append(name)
            return file

        return open_file

    big = os.urandom(3 << 18)
    files = [
        ("big.bin", time.time(), opener("big.bin", io.BytesIO(big))),
        ("broken.bin", 0.0, opener("broken.bin", Breaking(b"abcdef"))),
        ("old.txt", -1e15, opener("old.txt", io.BytesIO(b"old"))),
    ]
    pieces: Iterator[bytes] = zip_stream(iter(files))
    first = next(pieces)
    assert opened == ["big.bin"]
    assert len(first) < 2 << 18
    rest = list(pieces)
    assert max(map(len, rest)) < 2 << 18
    found = unpacked(first + b"".join(rest))
    assert found["big.bin"] == big
    assert found["old.txt"] == b"old"
    assert found["files that are missing.txt"] == b"broken.bin\n"


def test_no_two_names_are_the_same() -> None:
    assert unique_names(["a.jpg", "A.jpg", "a.jpg", "a (2).jpg", "b"]) == [
        *("a.jpg", "A (2).jpg", "a (3).jpg", "a (2) (2).jpg"),
        "b",
    ]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The programs that were started."""
    commands: list[list[str]] = []
    monkeypatch.setattr(routes_files, "Popen", lambda c, **_: commands.append(c))
    return commands


def test_a_file_is_shown_in_its_folder(
    media_folder: Path, collection_folder: Path, opened: list[list[str]]
) -> None:
    app = create_app(collection_folder, settings=SETTINGS, reveal=True)
    with TestClient(app, base_url=BASE) as client:
        wait_ready(client)
        assert client.get("/v1/status").json()["reveals"] is True
        item = everything(client)[0]
        address = f"/v1/assets/{item['asset_id']}/reveal"
        path = media_folder.parent / item["folder"] / item["name"]
        assert client.post(address, params={"open_folder": False}).json() == {"path": str(path)}
        assert opened == []
        assert client.post(address).json() == {"path": str(path)}
        assert len(opened) == 1
        assert opened[0][-1].endswith((str(path), str(path.parent)))
        assert client.post("/v1/assets/987654321/reveal").status_code == 404
        foreign = client.post(address, headers={"origin": "http://evil.example"})
        assert foreign.status_code == 403
        assert len(opened) == 1


def test_paths_are_not_shown_unless_asked_for(client: TestClient, opened: list[list[str]]) -> None:
    answer = client.post(f"/v1/assets/{everything(client)[0]['asset_id']}/reveal")
    assert answer.status_code == 404
    assert "--reveal" in answer.json()["error"]["message"]
    assert client.get("/v1/status").json()["reveals"] is False
    assert opened == []


def test_reveal_is_for_this_machine_only(tmp_path: Path) -> None:
    make_media(tmp_path / "media")
    with pytest.raises(UsageError, match="can be reached from others"):
        create_app(tmp_path, settings=SETTINGS, host="0.0.0.0", token="x" * 20, reveal=True)
    with pytest.raises(UsageError, match="behind-proxy"):
        serve(tmp_path, settings=SETTINGS, reveal=True, behind_proxy=True)
