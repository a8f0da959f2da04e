"""Show where in a picture, and when in a sound, the words of a query are met."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request, Response
from numpy.typing import NDArray
from pydantic import Field

from seehear.search.localization import locate_in_audio, locate_in_image
from seehear.server import examples
from seehear.server.problems import ServiceError
from seehear.server.routes_assets import KEEP, AssetId, Seconds, file_of, find_asset
from seehear.server.schemas import ExplanationOut, Words
from seehear.server.state import RecentCache, Service
from seehear.types import Asset, ImageSample, Modality

Texts = Annotated[
    list[Annotated[Words, Field(max_length=1000)]],
    Query(min_length=1, max_length=8, description="What to find, as in a search."),
]
_MOST_S = 30.0
_MOST_KEPT = 256
"""Answers of a few kilobytes each."""


def register(app: FastAPI, service: Service) -> None:
    """Add the endpoint to the application."""
    kept = RecentCache[ExplanationOut](_MOST_KEPT)

    @app.get(
        "/v1/assets/{asset_id}/explain",
        tags=["assets"],
        responses=examples.problems(401, 403, 404, 409, 413, 415, 422, 503),
    )
    async def explain(
        request: Request,
        response: Response,
        asset_id: AssetId,
        text: Texts,
        start_s: Seconds = None,
        stop_s: Seconds = None,
    ) -> ExplanationOut:
        """Show where in a photo words are met, or when within half a minute of a sound.

        Empty for models of which it was not measured that this is the right place.
        """
        asset = await service.listing.run(request, lambda: find_asset(service, asset_id))
        if asset.modality not in {Modality.IMAGE, Modality.AUDIO}:
            raise ServiceError(404, "no_place", f"no place is known in a {asset.modality}")
        begin = start_s or 0.0
        most_s = min(_MOST_S, _MOST_S if stop_s is None else stop_s - begin)
        if most_s <= 0:
            raise ServiceError(422, "invalid", "stop_s: must be after start_s")
        key = (asset.content_hash, service.library.model().revision, *text, begin, most_s)
        if (found := kept.get(key)) is None:
            found = await service.drawing.run(
                request, lambda: _explain(service, asset, text, begin, most_s)
            )
            kept.put(key, found)
        response.headers.update(KEEP)
        return found


def _explain(
    service: Service, asset: Asset, texts: list[str], start_s: float, most_s: float
) -> ExplanationOut:
    model, file = service.library.model(), file_of(service, asset)
    if asset.modality is Modality.IMAGE:
        # A larger image has more patches, so that what they show is placed more finely.
        spec = replace(model.spec, image_px=2 * model.spec.image_px)
        _, samples = service.decoder.query(file, spec, service.limits.query_pixels)
        image = next((one for one in samples if isinstance(one, ImageSample)), None)
        heat = None if image is None else locate_in_image(model, image, texts)
        return ExplanationOut() if heat is None else ExplanationOut(patches=_rounded(heat))
    audio = service.decoder.audio(file, model.spec.sample_rate_hz, start_s, most_s)
    found = locate_in_audio(model, audio, texts)
    if found is None:
        return ExplanationOut()
    return ExplanationOut(steps=_rounded(found[1]), start_s=start_s, step_s=found[0])


def _rounded(values: NDArray[np.float32]) -> Any:
    return np.round(values.astype(float), 3).tolist()
