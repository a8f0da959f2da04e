"""Hand out several files as one, and show a file in the folder on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import StreamingResponse

from seehear.errors import MediaError
from seehear.server import examples
from seehear.server.folder_labels import printable
from seehear.server.problems import ServiceError
from seehear.server.routes_assets import AssetId
from seehear.server.schemas import Revealed
from seehear.server.zip_stream import unique_names, zip_stream
from seehear.sources import is_remote, stored_path
from seehear.types import shown_name

if TYPE_CHECKING:
    from seehear.media.stored_file import StoredFile
    from seehear.server.state import Service

_MOST_FILES = 1000
"""In one archive: their numbers fit the line of a request."""

Numbers = Annotated[
    str,
    Query(max_length=16_000, pattern=r"^\d{1,18}(,\d{1,18})*$", description="Asset ids: `1,2,3`."),
]


def register(app: FastAPI, service: Service, *, reveal: bool) -> None:
    """Add the endpoints; `reveal`: clients sit at this machine, and may see where files lie."""

    @app.get(
        "/v1/download",
        response_class=StreamingResponse,
        tags=["assets"],
        responses=examples.problems(
            *(401, 403, 404, 422, 503),
            besides={200: {"content": {"application/zip": {}}, "description": "The archive."}},
        ),
    )
    async def download(request: Request, assets: Numbers) -> StreamingResponse:
        """Send several files as one ZIP archive, made while it is sent."""
        numbers = list(dict.fromkeys(int(number) for number in assets.split(",")))
        if len(numbers) > _MOST_FILES:
            raise ServiceError(422, "invalid", f"assets: at most {_MOST_FILES} files at once")
        files, missing = await service.listing.run(request, lambda: _collect(service, numbers))
        if not files:
            raise ServiceError(404, "no_such_asset", "none of these files can be reached")
        names = unique_names(printable(stored_path(file.path).name) for file in files)
        entries = (
            (name, file.modified_ns / 1e9, file.open)
            for name, file in zip(names, files, strict=True)
        )
        return StreamingResponse(
            zip_stream(entries, missing),
            media_type="application/zip",
            headers={"content-disposition": 'attachment; filename="seehear.zip"'},
        )

    @app.post(
        "/v1/assets/{asset_id}/reveal",
        tags=["assets"],
        responses=examples.problems(401, 403, 404, 422, 503),
    )
    async def show_in_folder(
        request: Request, asset_id: AssetId, *, open_folder: bool = True
    ) -> Revealed:
        """Tell where a file lies and show it there, on the machine of the service.

        Only for a service that was started with `--reveal`, for people who sit at that machine.
        """
        if not reveal:
            raise ServiceError(
                404, "not_offered", "the service does not show paths; start it with --reveal"
            )
        path = await service.listing.run(request, lambda: _stored(service, asset_id).path)
        if open_folder and not is_remote(path):
            _open_folder(path)
        return Revealed(path=printable(path))


def _stored(service: Service, asset_id: int) -> StoredFile:
    if service.library.asset(asset_id) is None:
        raise ServiceError(404, "no_such_asset", f"no asset has the number {asset_id}")
    try:
        return service.library.stored_file(asset_id)
    except MediaError as error:
        raise ServiceError(404, "offline", f"the file cannot be reached: {error}") from None


def _collect(service: Service, numbers: list[int]) -> tuple[list[StoredFile], list[str]]:
    """Return the files that can be read, and the names of the others."""
    files, missing = [], []
    for number in numbers:
        try:
            files.append(_stored(service, number))
        except ServiceError:
            known = service.library.locations(number)
            missing.append(printable(shown_name(known[0].path)) if known else f"file {number}")
    return files, missing


def _open_folder(path: str) -> None:
    """Show a file in the window of its folder; without a desktop, do nothing."""
    if sys.platform == "darwin":
        command = ["open", "-R", path]
    elif sys.platform == "win32":
        command = ["explorer", f"/select,{path}"]
    else:
        command = ["xdg-open", str(Path(path).parent)]
    try:
        Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    except OSError:
        return
