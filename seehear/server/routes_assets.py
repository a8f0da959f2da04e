"""Serve single assets: their facts, their pictures, the files themselves."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path as FilePath
from typing import IO, TYPE_CHECKING, Annotated
from urllib.parse import quote

from anyio import AsyncFile
from fastapi import FastAPI, Path, Query, Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from seehear.clips import TOLERANCE_S, clip_name
from seehear.errors import ContentChangedError, MediaError
from seehear.files import SCRATCH
from seehear.limits import CLIP_S, THUMBNAIL_PX
from seehear.media.cut_clip import CutClip
from seehear.media.in_memory import PREVIEW, written
from seehear.media.limits import LIMITS
from seehear.media.stored_file import StoredFile
from seehear.serialize import asset_to_dict
from seehear.server import examples
from seehear.server.content_types import DOWNLOAD, MediaResponse, content_type_of
from seehear.server.folder_labels import printable
from seehear.server.mount_path import full_address
from seehear.server.problems import ServiceError
from seehear.server.queries import location_out, thumbnail_address
from seehear.server.schemas import AssetOut, SegmentOut, Waveform
from seehear.sources import is_remote
from seehear.types import Asset, Modality, Segment

if TYPE_CHECKING:
    from seehear.server.served_collection import KeptContent
    from seehear.server.state import Service

AssetId = Annotated[int, Path(ge=0, lt=1 << 63)]
Seconds = Annotated[float | None, Query(ge=0, le=1e6, allow_inf_nan=False)]

KEEP = {"cache-control": "private, max-age=3600"}
_WAVEFORM_MOST_S = 3600.0
_SEGMENTS_SHOWN = 500
_WORDS_SHOWN = 2_000


def register(app: FastAPI, service: Service) -> None:
    """Add the endpoints to the application."""

    @app.get(
        "/v1/assets/{asset_id}",
        tags=["assets"],
        responses=examples.problems(401, 403, 404, 422, 503),
    )
    async def describe(request: Request, asset_id: AssetId) -> AssetOut:
        """Describe one asset: its facts, the places where it is stored, and its segments."""
        return await service.listing.run(request, lambda: _describe(service, asset_id))

    @app.get(
        "/v1/assets/{asset_id}/thumbnail",
        response_class=Response,
        tags=["assets"],
        responses=examples.problems(
            *(401, 403, 404, 413, 415, 422, 503),
            besides={
                200: {
                    "content": {"image/webp": {}, "image/png": {}},
                    "description": "The picture.",
                },
                304: {"description": "Not changed; the client can use its copy."},
            },
        ),
    )
    async def thumbnail(
        request: Request,
        asset_id: AssetId,
        px: Annotated[int, Query(ge=32, le=THUMBNAIL_PX)] = 320,
        start_s: Seconds = None,
        stop_s: Seconds = None,
        page: Annotated[int | None, Query(ge=1, le=LIMITS.pdf_pages)] = None,
    ) -> Response:
        """Show a small photo, a page, a video's frame at `start_s`, or a sound's spectrogram."""
        asset = await service.listing.run(request, lambda: find_asset(service, asset_id))
        if asset.modality is Modality.TEXT and page is None:
            raise ServiceError(404, "no_picture", "a text has no picture")
        if start_s is not None and stop_s is not None and stop_s <= start_s:
            raise ServiceError(422, "invalid", "stop_s: must be after start_s")
        state = await service.listing.run(request, lambda: _state(service, asset))
        key = (state, px, start_s, stop_s, page)
        mark = f'"{state[:48]}-{px}-{start_s}-{stop_s}-{page}"'
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers={"etag": mark, **KEEP})
        image = service.images.get(key)
        if image is None:

            def draw() -> tuple[bytes, str]:
                with _readable(service, asset, or_preview=True) as file:
                    return service.decoder.image(
                        file,
                        px,
                        start_s=start_s,
                        stop_s=stop_s,
                        audio=asset.modality is Modality.AUDIO,
                        page=page,
                    )

            image = await service.drawing.run(request, draw)
            service.images.put(key, image)
        body, kind = image
        return Response(body, media_type=kind, headers={"etag": mark, **KEEP})

    @app.get(
        "/v1/assets/{asset_id}/waveform",
        tags=["assets"],
        responses=examples.problems(401, 403, 404, 413, 415, 422, 503),
    )
    async def waveform(
        request: Request, asset_id: AssetId, steps: Annotated[int, Query(ge=8, le=2000)] = 400
    ) -> Waveform:
        """Give the loudness over time of a sound or a video's sound track, up to one hour."""
        asset = await service.listing.run(request, lambda: find_asset(service, asset_id))
        if asset.modality not in {Modality.AUDIO, Modality.VIDEO}:
            raise ServiceError(404, "no_sound", f"a {asset.modality} has no sound")

        def measure() -> tuple[float, list[float]]:
            with _readable(service, asset) as file:
                return service.decoder.waveform(file, steps, _WAVEFORM_MOST_S)

        stop_s, peaks = await service.drawing.run(request, measure)
        return Waveform(start_s=0.0, stop_s=stop_s, peaks=peaks)

    @app.get(
        "/v1/assets/{asset_id}/clip",
        response_class=Response,
        tags=["assets"],
        responses=examples.problems(
            *(401, 403, 404, 409, 413, 415, 422, 503),
            besides={200: {"content": {"*/*": {}}, "description": "The clip, to be saved."}},
        ),
    )
    async def clip(
        request: Request,
        asset_id: AssetId,
        start_s: Annotated[float, Query(ge=0, le=1e6, allow_inf_nan=False)],
        stop_s: Annotated[float, Query(ge=0, le=1e6, allow_inf_nan=False)],
        handles_s: Annotated[float, Query(ge=0, le=10, allow_inf_nan=False)] = 0.0,
    ) -> Response:
        """Cut a moment of a sound or a video into a file of its own, of a minute at most.

        Its frames are copied where a key frame is at most half a second earlier, and encoded again
        elsewhere; `X-Clip-Start` and `X-Clip-Stop` say what it shows.
        """
        asset = await service.listing.run(request, lambda: find_asset(service, asset_id))
        if asset.modality not in {Modality.AUDIO, Modality.VIDEO}:
            raise ServiceError(404, "no_moment", f"there is no moment to cut in a {asset.modality}")
        if not 0 < stop_s - start_s <= CLIP_S:
            raise ServiceError(422, "invalid", f"stop_s: up to {CLIP_S:.0f} s after start_s")
        first, last = max(0.0, start_s - handles_s), stop_s + handles_s
        made, source = await service.drawing.run(
            request, lambda: _clip(service, asset, first, last)
        )
        name = clip_name(source, start_s, stop_s) + made.suffix
        return Response(
            made.data,
            media_type=content_type_of(made.suffix[1:]),
            headers={
                "content-disposition": f"attachment; filename*=UTF-8''{quote(printable(name))}",
                "x-clip-start": f"{made.start_s:.3f}",
                "x-clip-stop": f"{made.stop_s:.3f}",
                "cache-control": "private, no-cache",
            },
        )

    @app.head("/v1/assets/{asset_id}/media", include_in_schema=False)
    @app.get(
        "/v1/assets/{asset_id}/media",
        response_class=FileResponse,
        tags=["assets"],
        responses=examples.problems(
            *(401, 403, 404, 409, 422, 503),
            besides={
                200: {"content": {"*/*": {}}, "description": "The file."},
                206: {"content": {"*/*": {}}, "description": "The requested range."},
                416: {"description": "The range lies outside the file."},
            },
        ),
    )
    async def media(request: Request, asset_id: AssetId, *, download: bool = False) -> FileResponse:
        """Send the file itself, whole or in ranges, so that a player can start anywhere."""
        return await service.listing.run(request, lambda: _media(service, asset_id, download))


def _clip(service: Service, asset: Asset, start_s: float, stop_s: float) -> tuple[CutClip, str]:
    """Return a clip, and the path of the file that it was cut from."""
    with _readable(service, asset) as file:
        clip = service.decoder.clip(file, start_s, stop_s, TOLERANCE_S)
        return clip, file.path if isinstance(file, StoredFile) else str(file)


def _media(service: Service, asset_id: int, download: bool) -> FileResponse:
    asset = find_asset(service, asset_id)
    content = _kept(service, asset)
    if content is None:
        file = _opened(service, asset)
        return _OpenFileResponse(file, asset, FilePath(file.name).name, download=download)
    suffix = FilePath(content.name).suffix if content.name else ""
    kept = tempfile.NamedTemporaryFile(prefix=SCRATCH, suffix=suffix)  # noqa: SIM115 - sent later
    kept.write(content.data)
    kept.flush()
    name = content.key.rpartition("/")[2] + suffix
    return _OpenFileResponse(kept, asset, name, download=download)


def _state(service: Service, asset: Asset) -> str:
    """Return what changes with what is seen of an asset."""
    changed = service.library.changed_at(asset.id)
    return asset.content_hash[:24] + ("" if changed is None else f"-{changed:%Y%m%dT%H%M%S.%f}")


def _kept(service: Service, asset: Asset, *, or_preview: bool = False) -> KeptContent | None:
    """Return what is kept of an item; None for a file.

    Raises ServiceError where nothing is kept, or a preview alone and the medium is wanted.
    """
    content = service.library.kept_content(asset.id)
    if content is None or (content.data and (or_preview or content.name != PREVIEW)):
        return content
    what = "a preview alone" if content.data else "nothing"
    raise ServiceError(404, "not_kept", f"{what} is kept of this item: add it again with `keep`")


@contextmanager
def _readable(
    service: Service, asset: Asset, *, or_preview: bool = False
) -> Iterator[StoredFile | FilePath]:
    """Give the file of an asset, or what is kept of an item as a file. Raises ServiceError."""
    content = _kept(service, asset, or_preview=or_preview)
    if content is None:
        yield file_of(service, asset)
    else:
        with written(content.data) as file:
            yield file


class _OpenFileResponse(MediaResponse):
    """Send the file that was checked, whatever its path leads to by the time it is sent."""

    def __init__(self, file: IO[bytes], asset: Asset, name: str, *, download: bool) -> None:
        self._file = file
        headers = {"cache-control": "private, no-cache"}
        if is_remote(file.name):
            headers["etag"] = f'"{asset.content_hash[:32]}"'
            size_bytes = file.seek(0, os.SEEK_END)
            status = os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, size_bytes, 0, 0, 0))
        else:
            status = os.fstat(file.fileno())
        kind = content_type_of(asset.format)
        super().__init__(
            file.name,
            media_type=kind,
            filename=printable(name),
            stat_result=status,
            content_disposition_type="attachment" if download or kind == DOWNLOAD else "inline",
            headers=headers,
        )

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[AsyncFile[bytes]]:
        """Give the file that is open, where the base class would open its path."""
        self._file.seek(0)
        yield AsyncFile(self._file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        by_content = {**scope, "extensions": {}}  # a server is not to open the path again
        with self._file:
            await super().__call__(by_content, receive, send)

    def close(self) -> None:
        """Close the file, for a response that is not sent."""
        self._file.close()


def find_asset(service: Service, asset_id: int) -> Asset:
    asset = service.library.asset(asset_id)
    if asset is None:
        raise ServiceError(404, "no_such_asset", f"no asset has the number {asset_id}")
    return asset


def file_of(service: Service, asset: Asset) -> StoredFile:
    try:
        return service.library.stored_file(asset.id)
    except ContentChangedError as error:
        raise ServiceError(409, "changed", str(error)) from None
    except MediaError as error:
        raise ServiceError(404, "offline", f"the file cannot be reached: {error}") from None


def _opened(service: Service, asset: Asset) -> IO[bytes]:
    try:
        return file_of(service, asset).open()
    except MediaError as error:
        raise ServiceError(404, "offline", f"the file cannot be reached: {error}") from None


def _describe(service: Service, asset_id: int) -> AssetOut:
    asset = find_asset(service, asset_id)
    places = service.folder_labels()
    segments, total = service.library.segments(asset_id, _SEGMENTS_SHOWN)
    locations = service.library.locations(asset_id)
    first = segments[0][1] if segments else None
    return AssetOut(
        **asset_to_dict(asset),
        places=[
            location_out(found.path, places, online=found.path.is_file()) for found in locations
        ],
        segments=[_segment_out(*one) for one in segments],
        words=[_segment_out(*one) for one in service.library.words(asset_id, _WORDS_SHOWN)],
        segments_total=total,
        thumbnail=thumbnail_address(
            asset.id,
            asset.modality,
            first.start_s if first else None,
            first.stop_s if first else None,
        ),
        media=full_address(f"/v1/assets/{asset.id}/media"),
    )


def _segment_out(segment_id: int, segment: Segment) -> SegmentOut:
    return SegmentOut(
        segment_id=segment_id,
        modality=segment.modality,
        start_s=segment.start_s,
        stop_s=segment.stop_s,
        text=printable(segment.text) if segment.text else None,
        page=segment.page,
        origin=segment.origin,
        language=segment.language,
        box=segment.box,
    )
