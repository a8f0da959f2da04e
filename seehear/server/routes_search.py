"""Answer searches, and turn texts and files into vectors."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import FastAPI, Request, Response

from seehear.encoders.plain import encoder_errors
from seehear.errors import MediaError, UsageError
from seehear.libraries import naming_faults
from seehear.query_builder import check_modality, text_part
from seehear.server import examples
from seehear.server.parameters import JSON, content_kind
from seehear.server.problems import ServiceError
from seehear.server.queries import Upload, answer_search
from seehear.server.request_queue import Admission, RequestQueue
from seehear.server.schemas import (
    EmbedAnswer,
    EmbedRequest,
    SearchAnswer,
    SearchRequest,
    SpaceOut,
)
from seehear.server.schemas_openai import (
    OpenAIEmbedding,
    OpenAIEmbeddings,
    OpenAIEmbeddingsRequest,
    OpenAIUsage,
)
from seehear.server.uploads import FORM, received
from seehear.types import Modality, QueryPart, Sample, modality_of

if TYPE_CHECKING:
    from seehear.encoders import Model
    from seehear.server.state import Service


def register(app: FastAPI, service: Service) -> None:
    """Add the endpoints to the application."""
    limits = service.limits

    def queue_of(request: Request) -> RequestQueue:
        """Return the queue that a request waits in, from before its body is read on."""
        return service.uploads if content_kind(request) == FORM else service.queries

    @app.post(
        "/v1/search",
        response_model=SearchAnswer,
        tags=["search"],
        openapi_extra=examples.SEARCH,
        responses=examples.problems(401, 403, 413, 415, 422, 503),
    )
    async def search(request: Request) -> Response:
        """Find pictures, sounds, moments of videos and passages of text."""
        with queue_of(request).admit() as admission:
            answer: str | bytes
            if service.workers and content_kind(request) == JSON:
                answer = await admission.wait(request, service.workers.ask(await request.body()))
            else:
                async with received(request, SearchRequest, limits) as (wish, uploads):
                    answer = await answer_wish(service, request, admission, wish, uploads)
        # FastAPI would check it against the schema, which takes longer than to make it.
        return Response(answer, media_type="application/json")

    @app.post(
        "/v1/embed",
        tags=["vectors"],
        openapi_extra=examples.EMBED,
        responses=examples.problems(401, 403, 413, 415, 422, 503),
    )
    async def embed(request: Request) -> EmbedAnswer:
        """Turn texts or one file into vectors, in every space of their kind."""
        with queue_of(request).admit() as admission:
            async with received(request, EmbedRequest, limits) as (wish, uploads):
                _check_embed(wish, uploads, limits.embed_inputs, limits.text_characters)
                return await admission.run(request, lambda: _embed(service, wish, uploads))

    @app.post(
        "/v1/embeddings",
        tags=["vectors"],
        responses=examples.problems(401, 403, 404, 413, 415, 422, 503),
    )
    async def embeddings(request: Request, wish: OpenAIEmbeddingsRequest) -> OpenAIEmbeddings:
        """Embed texts in the shape of OpenAI's API."""
        texts = [wish.input] if isinstance(wish.input, str) else wish.input
        _check_texts(texts, limits.embed_inputs, limits.text_characters)
        return await service.queries.run(request, lambda: _embeddings(service, wish, texts))


async def answer_wish(
    service: Service,
    request: Request,
    admission: Admission,
    wish: SearchRequest,
    uploads: list[Upload],
) -> str | bytes:
    """Return a `SearchAnswer` as JSON, from a worker where there are any."""
    if not service.workers:
        return await admission.run(request, lambda: _search(service, wish, uploads))
    told = await admission.run(request, lambda: _encoded(service, uploads))
    return await admission.wait(request, service.workers.ask(wish.model_dump_json().encode(), told))


def _search(service: Service, wish: SearchRequest, uploads: list[Upload]) -> str:
    heard: list[str] = []

    def load(
        upload: Upload, *, weight: float = 1.0, exclude: bool = False, expected: None = None
    ) -> QueryPart:
        if upload.is_said:
            heard.append(_heard(service, upload))
            return text_part(heard[-1], weight=weight, exclude=exclude)
        return QueryPart(_decode(service, upload)[1], weight, exclude, upload.name)

    return answer_search(
        service.library, service.folder_labels(), wish, uploads, load, service.limits, heard
    )


def _encoded(service: Service, uploads: list[Upload]) -> list[tuple[dict[str, Any], bytes]]:
    """Return what a worker needs of each upload: the words that are heard in it, or its vectors."""
    found = []
    for upload in uploads:
        told: dict[str, Any] = {"name": upload.name, "field": upload.field, "heard": None}
        rows: list[bytes] = []
        if upload.is_said:
            told["heard"] = _heard(service, upload)
        else:
            told["samples"] = []
            samples = _decode(service, upload)[1]
            for modality in Modality:
                some = [one for one in samples if modality_of(one) is modality]
                if some:
                    told["samples"].append(_rows_of(service.library.model(), modality, some, rows))
        found.append((told, b"".join(rows)))
    return found


def _rows_of(
    model: Model, modality: Modality, samples: list[Sample], rows: list[bytes]
) -> dict[str, Any]:
    """Encode samples for a worker, which encodes texts itself; add the vectors to `rows`."""
    if modality is Modality.TEXT:
        return {"modality": modality, "texts": samples}
    with encoder_errors(model, modality):
        encoded = model.encode(modality, samples)
    rows += [np.asarray(found, dtype="<f4").tobytes() for found in encoded.values()]
    return {
        "modality": modality,
        "rows": len(samples),
        "spaces": [space.key for space in encoded],
    }


def _heard(service: Service, upload: Upload) -> str:
    """Return the words that are said in an uploaded file. Raises UsageError for none."""
    with _as_sent(service, upload):
        reading = service.library.hear(upload.path, most_s=service.limits.said_s)
    if not reading.text:
        raise UsageError(f"nothing said in {upload.name}; send it as `audio` to search by sound")
    return reading.text


def _decode(service: Service, upload: Upload) -> tuple[Modality, tuple[Sample, ...]]:
    """Decode an uploaded file. Raises MediaError that names the file as the client does."""
    limits = service.limits
    spec = service.library.model().spec
    with _as_sent(service, upload):
        modality, samples = service.decoder.query(
            upload.path, spec, limits.query_pixels, limits.query_duration_s
        )
    check_modality(upload.name, modality, upload.expected)
    return modality, samples


@contextmanager
def _as_sent(service: Service, upload: Upload) -> Iterator[None]:
    """Count a file that is decoded; name it in a MediaError as the client does."""
    try:
        yield
    except MediaError as error:
        service.metrics.decoded.labels(type(error).__name__).inc()
        reason = str(error).replace(str(upload.path), upload.name)
        reason = reason.replace(upload.path.name, upload.name)
        if upload.name not in reason:
            reason = f"{upload.name}: {reason}"
        raise type(error)(reason, stage=error.stage) from None
    service.metrics.decoded.labels("decoded").inc()


def _check_embed(wish: EmbedRequest, uploads: list[Upload], most: int, characters: int) -> None:
    if uploads and (wish.texts or len(uploads) > 1):
        raise UsageError("send either texts or one file")
    if not uploads:
        _check_texts(wish.texts, most, characters)


def _check_texts(texts: list[str], most: int, characters: int) -> None:
    if not texts:
        raise UsageError("nothing to embed; send texts or one file")
    if len(texts) > most:
        raise UsageError(f"send at most {most} texts at once")
    if any(len(text) > characters for text in texts):
        raise UsageError(f"each text may have at most {characters} characters")


def _embed(service: Service, wish: EmbedRequest, uploads: list[Upload]) -> EmbedAnswer:
    model = service.library.model()
    if uploads:
        modality, samples = _decode(service, uploads[0])
        # A clip's sound track comes along for searching; its own vectors are those of its shots.
        samples = tuple(sample for sample in samples if modality_of(sample) is modality)
    else:
        modality, samples = Modality.TEXT, tuple(wish.texts)
    with naming_faults():
        encoded = model.encode(modality, samples)
    spaces = [
        SpaceOut(space=space.key, dimensions=space.dim, vectors=_rows(vectors))
        for space, vectors in encoded.items()
    ]
    return EmbedAnswer(model=model.name, modality=modality, spaces=spaces)


def _embeddings(
    service: Service, wish: OpenAIEmbeddingsRequest, texts: list[str]
) -> OpenAIEmbeddings:
    model = service.library.model()
    if wish.model not in {model.name, "default", *service.options.settings.model_aliases}:
        raise ServiceError(
            404, "model_not_found", f"unknown model; use `{model.name}` or `default`"
        )
    space = model.spaces_of(Modality.TEXT)[0]  # the first is the one that pictures share
    if wish.dimensions not in {None, space.dim}:
        raise UsageError(f"dimensions must be {space.dim}, the dimension of this model")
    with naming_faults():
        vectors = np.asarray(model.encode(Modality.TEXT, texts)[space], dtype="<f4")
    rows: list[Any] = (
        [base64.b64encode(row.tobytes()).decode() for row in vectors]
        if wish.encoding_format == "base64"
        else _rows(vectors)
    )
    words = sum(len(text.split()) for text in texts)
    return OpenAIEmbeddings(
        data=[OpenAIEmbedding(index=index, embedding=row) for index, row in enumerate(rows)],
        model=model.name,
        usage=OpenAIUsage(prompt_tokens=words, total_tokens=words),
    )


def _rows(vectors: Any) -> list[list[float]]:
    rows: list[list[float]] = np.asarray(vectors, dtype=np.float32).tolist()
    return rows
