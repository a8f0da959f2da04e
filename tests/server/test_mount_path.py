"""Below a prefix: every address that the service takes and gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from seehear.errors import UsageError
from seehear.server import create_app, serve
from seehear.server.mount_path import path_below
from tests.server.conftest import BASE, PATIENCE_S, SETTINGS, Running

AT = "/on the web/photos"


@pytest.fixture(scope="module")
def below(app: FastAPI, client: TestClient) -> TestClient:
    """The same service as another server mounts it."""
    return TestClient(app, base_url=BASE, root_path=AT, raise_server_exceptions=False)


def addresses(told: Any) -> Iterator[str]:
    """Every address in an answer."""
    if isinstance(told, dict):
        for name, value in told.items():
            if name in {"thumbnail", "media", "moment_url"} and value is not None:
                yield value
            else:
                yield from addresses(value)
    elif isinstance(told, list):
        for one in told:
            yield from addresses(one)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/search?text=red&limit=20",
        "/v1/browse/items?start=0&limit=20",
        "/v1/unusual?count=3",
        "/v1/typical",
        "/v1/assets/1",
    ],
)
def test_addresses_in_answers(client: TestClient, below: TestClient, path: str) -> None:
    answer = below.get(AT + path)
    assert answer.status_code == 200, answer.text
    given = list(addresses(answer.json()))
    assert given
    for address in given:
        assert address.startswith("/on%20the%20web/photos/")
        assert below.get(address.partition("#")[0]).status_code == 200
    at_root = json.dumps(client.get(path).json()).replace('"/', '"/on%20the%20web/photos/')
    assert list(addresses(json.loads(at_root))) == given


def test_the_page_asks_for_its_parts_below_the_prefix(below: TestClient) -> None:
    for path in ("/", "/moment/1"):
        page = below.get(AT + path)
        assert 'href="/on%20the%20web/photos/page/page.css"' in page.text
        assert '="/page' not in page.text
        again = below.get(AT + path, headers={"if-none-match": page.headers["etag"]})
        assert again.status_code == 304
        assert below.get(AT + path, headers={"if-none-match": "x"}).status_code == 200
    assert below.get(f"{AT}/page/page.js").status_code == 200
    assert below.get(f"{AT}/openapi.json").json()["servers"] == [{"url": AT}]


def test_behind_a_proxy_that_takes_the_prefix_away(collection_folder: Path) -> None:
    with Running(create_app(collection_folder, settings=SETTINGS), root_path="/media") as server:

        def asked(path: str) -> bytes:
            with urlopen(server.address + path, timeout=PATIENCE_S) as answer:
                return bytes(answer.read())

        hits = json.loads(asked("/v1/search?text=red"))["hits"]
        assert hits[0]["media"].startswith("/media/v1/assets/")
        asked(hits[0]["media"].removeprefix("/media"))
        assert b'src="/media/page/page.js"' in asked("/")


@pytest.mark.parametrize("path", ["media", "/media/", "/a b", "/a?b", "//"])
def test_a_prefix_that_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="--root-path takes a path such as /media"):
        serve(root_path=path)


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        ("", "/v1/search", "/v1/search"),
        ("/a", "/a/v1/search", "/v1/search"),
        ("/a", "/a", ""),
        ("/a", "/ab/v1", "/ab/v1"),
        ("/a", "/v1/search", "/v1/search"),
        ("/a", "/a/a/", "/a/"),
    ],
)
def test_the_path_below_is_what_the_routes_see(root: str, path: str, below: str) -> None:
    from starlette._utils import get_route_path

    scope = {"type": "http", "root_path": root, "path": path}
    assert path_below(scope) == below == get_route_path(scope)
