"""Read forms within limits, and save their files in a private folder."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from seehear.arguments import OTHER_WORDS
from seehear.files import scratch_folder
from seehear.limits import ServiceLimits
from seehear.server.folder_labels import printable
from seehear.server.parameters import JSON, content_kind, read_json
from seehear.server.problems import ServiceError
from seehear.server.queries import Upload

FORM = "multipart/form-data"
FILE_FIELDS = ("file", "image", "audio", "video", "say", "without_file")
_LISTS = frozenset(
    {"text", "without", "like", "unlike", "modalities", "texts", "weights", "as_written", "take"}
    | set(OTHER_WORDS["modalities"])
)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_MOST_FIELDS = 200

Body = TypeVar("Body", bound=BaseModel)


def parsed(shape: type[Body], content: bytes | dict[str, Any]) -> Body:
    """Parse a request's body. Raises ServiceError 422 that names the field at fault."""
    try:
        if isinstance(content, bytes):
            with suppress(ValueError, RecursionError):  # told by pydantic
                read_json(content)
            return shape.model_validate_json(content)
        return shape.model_validate(content)
    except ValidationError as error:
        raise invalid(error.errors()) from None


def invalid(mistakes: Sequence[Any]) -> ServiceError:
    """Return the error for a body of the wrong shape: where, and what is wrong there."""
    names = [_field_of(one["loc"]) for one in mistakes]
    # Of what may be of several types, each type has an error of its own.
    said = [
        str(one["msg"]).removeprefix("Value error, ")
        for one, name in zip(mistakes, names, strict=True)
        if name == names[0]
    ]
    what = "; or: ".join(dict.fromkeys(said))
    message = f"{names[0]}: {what}" if names[0] else what
    return ServiceError(422, "invalid", printable(message)[:500])


def _field_of(steps: Sequence[str | int]) -> str:
    """Return where a mistake is, without the names of types that pydantic puts between."""
    own = [str(step) for step in steps if step not in {"body", "bool", "str"}]
    return ".".join(step for step in own if "[" not in step)


@asynccontextmanager
async def received(
    request: Request, shape: type[Body], limits: ServiceLimits
) -> AsyncIterator[tuple[Body, list[Upload]]]:
    """Give the body and the files of a request in JSON or multipart; delete the files at the end.

    In a form, fields are named as in the JSON; lists repeat their field; `parts` is JSON. Raises
    ServiceError for another content type, and for a body without the shape.
    """
    kind = content_kind(request)
    if kind == JSON:
        yield parsed(shape, await request.body()), []
        return
    if kind != FORM:
        raise ServiceError(415, "content_type", "send application/json or multipart/form-data")
    form = await request.form(
        max_files=limits.files, max_fields=_MOST_FIELDS, max_part_size=limits.body_bytes
    )
    scratch = scratch_folder(Path(tempfile.gettempdir()))  # a killed service's are deleted, too
    folder = await run_in_threadpool(scratch.__enter__)
    try:
        fields, files = _sorted_out(form)
        body_of_form = parsed(shape, fields)
        yield body_of_form, await run_in_threadpool(_save_uploads, folder, files)
    finally:
        await form.close()
        await run_in_threadpool(scratch.__exit__, None, None, None)


def _sorted_out(form: FormData) -> tuple[dict[str, Any], list[tuple[str, UploadFile]]]:
    fields: dict[str, Any] = {}
    files: list[tuple[str, UploadFile]] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name not in FILE_FIELDS:
                raise ServiceError(
                    422, "invalid", f"files are sent as {', '.join(FILE_FIELDS)}, no other field"
                )
            files.append((name, value))
        elif name in _LISTS:
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise ServiceError(422, "invalid", f"{printable(name)} is given twice: give it once")
        elif name == "parts":
            try:
                fields[name] = read_json(value)
            except (ValueError, RecursionError):
                raise ServiceError(422, "invalid", "parts: not valid JSON") from None
        else:
            fields[name] = value
    return fields, files


def _save_uploads(folder: Path, files: list[tuple[str, UploadFile]]) -> list[Upload]:
    uploads = []
    for location, (field, file) in enumerate(files):
        name = printable((file.filename or "").replace("\\", "/").rpartition("/")[2])[:200]
        # Only the suffix of the client's name is kept: a hint at formats without a signature.
        suffix = Path(name).suffix
        path = folder / f"query{location}{suffix if _SUFFIX.fullmatch(suffix) else ''}"
        with path.open("wb") as out:
            shutil.copyfileobj(file.file, out)
        uploads.append(Upload(path, name or "file", field))
    return uploads
