"""Make items of vectors that were read from files (`vector_files`)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seehear.arguments import MODALITY_WORDS
from seehear.errors import SpaceMismatchError, UsageError
from seehear.own_fields import RESERVED_NAMES, check_fields
from seehear.search.fields import FIELD_WORDS
from seehear.stores import NewContent, NewItem
from seehear.stores.catalog.items import TEXT, item_hash
from seehear.types import EmbeddingSpace, MediaInfo, Modality, Origin, Segment, Vectors
from seehear.vector_files import VectorBlock

if TYPE_CHECKING:
    from seehear.encoders import Model

MOST_ID = 500
"""Most characters of an id."""
ITEMS_AT_ONCE = 1_000

_IDS = ("id", "path", "image_path", "key", "url")
"""Columns that an item has its id from: the first that has a value."""
_OF_SEGMENT = ("matched", "start_s", "stop_s", "page", "origin", "language")
_OF_EXPORT = ("segment_id", "asset_id", "path", "fields", "dates")
_DETAILS = ("caption", "title")
_SIZES = ("width", "height")


@dataclass(slots=True)
class _Started:
    """An item whose rows are being read."""

    key: str
    modality: Modality
    row: Mapping[str, Any]
    space: EmbeddingSpace
    where: str
    """The file and the row that it begins with."""
    segments: list[Segment] = field(default_factory=list)
    vectors: list[Vectors] = field(default_factory=list)


class VectorImport:
    """Turns blocks of vectors into items of a model.

    `space` is the name of the space of files that do not say it, `modality` the kind of what they
    are of. `fields` are the columns to keep as fields; None keeps all.
    """

    def __init__(
        self,
        model: Model,
        *,
        space: str | None,
        modality: Modality | None,
        fields: Sequence[str] | None,
    ) -> None:
        self._model = model
        self._asked = space
        self._modality = modality
        self._fields = fields
        self._not_seen = set(fields or ())
        """Those of `fields` that no row had yet."""
        spaces = dict.fromkeys(one for kind in Modality for one in model.spaces_of(kind))
        self._spaces = list(spaces)
        self.count = 0
        """Vectors that were taken."""

    def items(self, blocks: Iterator[VectorBlock]) -> Iterator[list[NewItem]]:
        """Yield the items of some blocks, a thousand at a time.

        Rows of one id that follow each other are one item of several segments: the windows of a
        sound, the shots of a video. Raises UsageError for what cannot be an item,
        SpaceMismatchError for vectors of another space; both name the file and the row.
        """
        ready: list[NewItem] = []
        started: _Started | None = None
        for block in blocks:
            space = self._space_of(block)
            vectors = _unit_rows(block, space)
            for at, row in enumerate(_rows(block)):
                where = f"{block.file}, row {block.first + at}"
                self._not_seen -= row.keys()
                key, used = _key_of(row, block.file, block.first + at)
                kind = self._kind_of(row, block, where)
                segment = _segment_of(row, kind, where)
                self._check_space(segment.modality, space, where)
                if started is None or (started.key, started.space) != (key, space):
                    if started is not None:
                        ready.append(self._finished(started))
                    if len(ready) == ITEMS_AT_ONCE:
                        yield ready
                        ready = []
                    rest = {name: value for name, value in row.items() if name != used}
                    started = _Started(key, kind, rest, space, where)
                elif "segment_id" not in row and segment in started.segments:
                    raise UsageError(f'{where}: the id "{key}" is given twice')
                started.segments.append(segment)
                started.vectors.append(vectors[at])
            self.count += len(vectors)
        if started is not None:
            ready.append(self._finished(started))
        if self._not_seen:
            raise UsageError(f"no row has {', '.join(sorted(self._not_seen))} to keep as fields")
        if ready:
            yield ready

    def _space_of(self, block: VectorBlock) -> EmbeddingSpace:
        named = {one.name: one for one in self._spaces} | {one.key: one for one in self._spaces}
        names = ", ".join(one.name for one in self._spaces)
        asked = None if self._asked is None else named.get(self._asked)
        if self._asked is not None and asked is None:
            raise UsageError(f'No space "{self._asked}". The spaces are: {names}')
        said = None if block.space is None else named.get(block.space)
        space = asked if block.space is None else said
        if block.space is not None and (said is None or asked not in {None, said}):
            raise SpaceMismatchError(
                f"{block.file} has vectors of {block.space}; "
                + (
                    f"the model {self._model.name} has {', '.join(one.key for one in self._spaces)}"
                    if said is None
                    else f"{self._asked} was asked for"
                )
            )
        if space is None:
            raise UsageError(
                f"{block.file} does not say in which space its vectors are. If a model of yours "
                f"made them, name its space (--space): {names}"
            )
        if block.vectors.shape[1] != space.dim:
            raise SpaceMismatchError(
                f"{block.file} has vectors of {block.vectors.shape[1]} numbers; {space.key} has "
                f"{space.dim}"
            )
        return space

    def _check_space(self, kind: Modality, space: EmbeddingSpace, where: str) -> None:
        if (wanted := self._model.spaces_of(kind)) != (space,):
            listed = " and ".join(one.name for one in wanted) or "no space"
            raise SpaceMismatchError(
                f"{where}: with the model {self._model.name}, {kind} has vectors in {listed}, not "
                f"in {space.name} alone"
            )

    def _kind_of(self, row: Mapping[str, Any], block: VectorBlock, where: str) -> Modality:
        said = MODALITY_WORDS.get(str(row.get("modality")).casefold())
        kind = said or block.modality or self._modality
        if kind is None:
            raise UsageError(
                f"{where}: nothing says what the vectors are of. Say it with modality (--in): "
                f"{', '.join(Modality)}"
            )
        return kind

    def _finished(self, started: _Started) -> NewItem:
        details, sizes, fields = self._described(started)
        stops = [one.stop_s for one in started.segments if one.stop_s is not None]
        info = MediaInfo(
            started.modality,
            "vector",
            duration_s=max(stops, default=None),
            width_px=sizes.get("width"),
            height_px=sizes.get("height"),
            details=details,
        )
        rows = np.stack(started.vectors)
        vectors = {started.space: (range(len(rows)), rows)}
        content = NewContent(item_hash(started.key), 0, info, started.segments, vectors)
        text = started.segments[0].text if len(rows) == 1 else None
        if started.modality is not Modality.TEXT or text is None:
            return NewItem(started.key, content, fields)
        return NewItem(started.key, content, fields, TEXT, text.encode("utf-8", "replace"))

    def _described(
        self, started: _Started
    ) -> tuple[dict[str, str | int | float], dict[str, int], dict[str, Any]]:
        """Return what is shown of an item, its size in pixels, and the fields of one's own."""
        details: dict[str, str | int | float] = {}
        sizes: dict[str, int] = {}
        fields: dict[str, Any] = {}
        row = dict(started.row)
        if "segment_id" in row:  # `export_vectors` made it
            own = _own_fields(row, started.where)
            self._not_seen -= own.keys()
            fields |= {n: own[n] for n in own if self._fields is None or n in self._fields}
            row = {name: value for name, value in row.items() if name not in _OF_EXPORT}
        for name, given in row.items():
            value = _plain(given)
            if name in {*_OF_SEGMENT, "modality"} or name.startswith("__index_level_"):
                continue
            if name == "text" and started.segments[0].text is not None:
                continue
            if name in _DETAILS and isinstance(value, str):
                details[name] = value
            elif name in _SIZES and isinstance(value, int | float):
                sizes[name] = int(value)
            elif self._fields is None or name in self._fields:
                fields[_field_name(name)] = value
        try:
            return details, sizes, check_fields(fields)
        except UsageError as error:
            raise UsageError(f"{started.where}: {error}. Choose with fields what to keep") from None


def _rows(block: VectorBlock) -> Iterator[dict[str, Any]]:
    if not block.columns:
        yield from ({} for _ in range(len(block.vectors)))
        return
    for values in zip(*block.columns.values(), strict=True):
        yield dict(zip(block.columns, values, strict=True))


def _unit_rows(block: VectorBlock, space: EmbeddingSpace) -> Vectors:
    """Return the vectors of a block as float32 of length 1. Raises UsageError for NaN and zero."""
    rows = block.vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise UsageError(
            f"{block.file}, row {block.first + int(bad[0])}: the vector is zero or not finite"
        )
    return np.asarray(rows / lengths[:, None], dtype=np.float32)


def _key_of(row: Mapping[str, Any], file: Path, number: int) -> tuple[str, str | None]:
    """Return the id of a row, and the column that it comes from."""
    for name in _IDS:
        value = row.get(name)
        if value is not None and str(value).strip() and not isinstance(value, float):
            key = str(value).encode("utf-8", "replace").decode()
            if len(key) > MOST_ID or not key.isprintable():
                raise UsageError(
                    f"{file}, row {number}: an id is a text of 1 to {MOST_ID} printable "
                    f"characters, not {key[:60]!r}"
                )
            return key, name
    return f"{file.stem}-{number}", None


def _segment_of(row: Mapping[str, Any], kind: Modality, where: str) -> Segment:
    try:
        modality = Modality(row["matched"]) if row.get("matched") is not None else kind
        start_s, stop_s = _number(row.get("start_s")), _number(row.get("stop_s"))
        page, origin = _number(row.get("page")), row.get("origin")
        if (start_s is None) != (stop_s is None) or (
            start_s is not None and stop_s is not None and not 0 <= start_s <= stop_s
        ):
            raise ValueError(f"times {start_s} to {stop_s}")  # noqa: TRY301 - told with the others
        text = row.get("text") if modality is Modality.TEXT else None
        return Segment(
            modality,
            start_s,
            stop_s,
            text if isinstance(text, str) else None,
            None if page is None else int(page),
            None if origin is None else Origin(origin),
            row.get("language") if origin is not None else None,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{where}: {str(error) or 'a value'} cannot be where a vector stands"
        ) from None


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _own_fields(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    given = row.get("fields") or {}
    try:
        fields = json.loads(given) if isinstance(given, str) else dict(given)
        for name in row.get("dates") or ():
            text = fields[name]
            is_day = len(text) == len("2024-01-31")
            fields[name] = date.fromisoformat(text) if is_day else datetime.fromisoformat(text)
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{where}: its fields cannot be read: {str(given)[:60]}") from None
    return fields


def _plain(value: Any) -> Any:
    """Return a value of a column as a field takes it; None for NaN."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    nested = isinstance(value, list) and not all(isinstance(one, str) for one in value)
    if nested or isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _field_name(column: str) -> str:
    """Return a column's name as a field may have it: one that seehear fills itself gets a `_`."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", column)
    name = name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"
    taken = name.lower() in FIELD_WORDS or name.lower() in RESERVED_NAMES
    return f"{name[:63]}_" if taken else name[:64]
