"""Serve the web page: a fixed list of files from the package."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.responses import Response

from seehear.server.mount_path import mount_path
from seehear.server.problems import ServiceError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


PAGES = {"/": "index.html", "/moment/{asset_id}": "index.html"}


def register(app: FastAPI, pages: Mapping[str, str] = PAGES) -> None:
    """Add pages, by their paths, and their parts; read the files now, and never again."""
    kept = {item.name: _loaded(item) for item in files("seehear.server.page").iterdir()}

    def answer(name: str, request: Request) -> Response:
        if kept.get(name) is None:
            raise ServiceError(404, "no_such_file", "the page has no file of this name")
        content, kind, mark = kept[name]  # type: ignore[misc]
        if mount := mount_path.get():  # the addresses of a page are written from the root on
            content, mark = content.replace(b'="/', f'="{mount}/'.encode()), f'{mark[:-1]}{mount}"'
        headers = {"etag": mark, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    def page(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def shown(request: Request) -> Response:
            return answer(name, request)

        return shown

    for path, name in pages.items():
        app.get(path, include_in_schema=False)(page(name))

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon(request: Request) -> Response:
        return answer("icon.svg", request)

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str, request: Request) -> Response:
        return answer(name, request)


def _loaded(item: Traversable) -> tuple[bytes, str, str] | None:
    kind = next((kind for end, kind in _TYPES.items() if item.name.endswith(end)), None)
    if kind is None:
        return None
    content = item.read_bytes()
    return content, kind, f'"{hashlib.sha256(content).hexdigest()[:24]}"'
