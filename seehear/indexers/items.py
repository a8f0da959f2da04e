"""Encode what a program holds in memory as files are: decoded by workers, cut, encoded in batches.

A text is not taken for a file: one that begins with "%PDF" is a text all the same.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seehear import media
from seehear.arguments import is_held, media_path
from seehear.config import Settings
from seehear.encoders import Model
from seehear.errors import BrokenMediaError, MediaError, UsageError
from seehear.files import scratch_folder
from seehear.indexers.dedup import IndexFailure
from seehear.indexers.encode import DecodeMessage, EncodeStage, PendingAsset, SampleReady
from seehear.indexers.stages import BoundedQueue, StopEvent, run_stages
from seehear.media.in_memory import PREVIEW, preview_of, write_into
from seehear.media.passages import passages
from seehear.stores import Catalog, FileTask, NewItem
from seehear.stores.catalog.items import TEXT, item_hash
from seehear.types import ImageSample, MediaInfo, Modality, Segment, bytes_of

WAITING_BYTES = 64 << 20
"""Decoded samples that wait for the encoder."""
AT_ONCE = 64
"""Items that are read, encoded and written together where another model encodes all."""


@dataclass(frozen=True, slots=True)
class ItemMedium:
    """What an item is made of: a text, or media as `media/in_memory.py` takes them, or a path."""

    key: str
    name: str
    """What messages call it, such as "images[3]"."""
    modality: Modality
    value: Any
    keep: bool = False
    """Keep the bytes of media; texts are kept always, and images as a preview."""


@dataclass(frozen=True, slots=True)
class _Task:
    path: Path
    medium: ItemMedium


def encode_items(
    model: Model,
    settings: Settings,
    given: Sequence[ItemMedium],
    is_stopped: Callable[[], bool] = lambda: False,
) -> list[NewItem]:
    """Return items ready to store, in the given order, without fields.

    Raises UsageError for what is of another kind than it is given as or not readable as an array,
    MediaError for what cannot be decoded or encoded; ModelError, EnvironmentFaultError. The first
    that fails ends it, and is named.
    """
    samples: BoundedQueue[DecodeMessage] = BoundedQueue(WAITING_BYTES)
    found: dict[str, NewItem] = {}
    kept: dict[str, tuple[str, bytes] | None] = {}
    names = {medium.key: medium.name for medium in given}
    halt = StopEvent()

    def decode() -> None:
        _read_texts([one for one in given if one.modality is Modality.TEXT], samples, kept, model)
        files = [one for one in given if one.modality is not Modality.TEXT]
        if files:
            _decode_media(files, model, settings, samples, kept)
        samples.close()

    def encoded(draft: PendingAsset) -> None:
        key = str(draft.file.path)
        content = replace(draft.content(), content_hash=item_hash(key))
        found[key] = NewItem(key, content, {}, *(kept[key] or (None, None)))

    def refused(draft: PendingAsset, refusal: IndexFailure) -> None:
        name = names[str(draft.file.path)]
        raise MediaError(f"{name}: {refusal.reason}", stage=refusal.stage)

    def tick() -> None:
        if is_stopped():
            raise KeyboardInterrupt

    kinds = dict.fromkeys(medium.modality for medium in given)
    encoder = EncodeStage(model, settings.batch_size, samples, encoded, refused, kinds)
    run_stages({"decode": decode, "encode": encoder.run}, (samples,), halt, tick)
    return [found[medium.key] for medium in given]


def _read_texts(
    texts: Sequence[ItemMedium],
    samples: BoundedQueue[DecodeMessage],
    kept: dict[str, tuple[str, bytes] | None],
    model: Model,
) -> None:
    for medium in texts:
        data = medium.value.encode("utf-8", "replace")
        kept[medium.key] = TEXT, data
        draft = _draft(medium, MediaInfo(Modality.TEXT, "text"), len(data))
        for words in passages(data.decode(), model.spec.passage_words):
            draft.segments.append(Segment(Modality.TEXT, text=words))
            if model.spaces_of(Modality.TEXT):
                samples.put(SampleReady(draft, len(draft.segments) - 1, words), len(words))
        samples.put(draft)


def _decode_media(
    files: Sequence[ItemMedium],
    model: Model,
    settings: Settings,
    samples: BoundedQueue[DecodeMessage],
    kept: dict[str, tuple[str, bytes] | None],
) -> None:
    with scratch_folder(Path(tempfile.gettempdir())) as folder:

        def tasks() -> Iterator[_Task]:
            for number, medium in enumerate(files):
                try:
                    yield _Task(_file_of(medium.value, folder, number), medium)
                except UsageError as error:
                    raise UsageError(f"{medium.name}: {error}") from None

        decoded = media.decode_all(tasks(), model.spec, settings, to_mark=lambda _: False)
        with closing(decoded):
            for file in decoded:
                task: _Task = file.task
                try:
                    _take(file, task.medium, model, samples, kept)
                except MediaError as error:
                    told = str(error).replace(str(task.path), task.medium.name)
                    named = told if task.medium.name in told else f"{task.medium.name}: {told}"
                    raise type(error)(named, stage=error.stage) from None
                if task.path.is_relative_to(folder):
                    task.path.unlink()


def _take(
    file: media.DecodedFile,
    medium: ItemMedium,
    model: Model,
    samples: BoundedQueue[DecodeMessage],
    kept: dict[str, tuple[str, bytes] | None],
) -> None:
    if file.error is not None:
        raise file.error
    draft: PendingAsset | None = None
    kept[medium.key] = None
    for segment, sample in file:
        if draft is None:
            draft = _started(file, medium)
        if isinstance(sample, ImageSample) and medium.modality is Modality.IMAGE:
            kept[medium.key] = kept[medium.key] or (PREVIEW, preview_of(sample))
        if model.spaces_of(segment.modality):
            draft.segments.append(segment)
            samples.put(SampleReady(draft, len(draft.segments) - 1, sample), bytes_of(sample))
    if medium.keep:
        kept[medium.key] = f"media{file.path.suffix}", file.path.read_bytes()
    samples.put(draft or _started(file, medium))


def _started(file: media.DecodedFile, medium: ItemMedium) -> PendingAsset:
    if file.info is None:
        raise BrokenMediaError("it cannot be recognised")
    if file.info.modality is not medium.modality:
        raise UsageError(
            f"{medium.name} is of the kind {file.info.modality}, not {medium.modality}"
        )
    return _draft(medium, file.info, file.size_bytes)


def _draft(medium: ItemMedium, info: MediaInfo, size_bytes: int) -> PendingAsset:
    return PendingAsset("", FileTask(0, Path(medium.key), size_bytes, 0, 0), info)


def _file_of(value: Any, folder: Path, number: int) -> Path:
    if is_held(value):
        return write_into(value, folder, f"{number}-")
    path = media_path(value).absolute()
    if not os.path.isfile(path):
        raise UsageError(f"No file {path}")
    return path


def check_kept(catalog: Catalog, model: Model) -> None:
    """Raise UsageError where items could not be encoded by a model that takes over."""
    serving = catalog.generations.serving()
    if serving is None or (serving.model, serving.revision) == (model.name, model.revision):
        return
    lost = catalog.items.without_content()
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise UsageError(
            f'nothing is kept of the item "{lost[0]}"{more} that {model.name} could encode: add '
            "it again with keep=True, or delete it"
        )


def encode_stored(
    catalog: Catalog,
    model: Model,
    generation_id: int,
    settings: Settings,
    is_stopped: Callable[[], bool],
) -> int:
    """Encode the items that a generation lacks, from what is kept of them; return how many."""
    missing = catalog.items.unencoded(generation_id)
    for start in range(0, len(missing), AT_ONCE):
        if is_stopped():
            return start
        given = []
        for asset_id, key in missing[start : start + AT_ONCE]:
            content, asset = catalog.items.content(asset_id), catalog.assets.get(asset_id)
            if content is None or asset is None:
                continue
            value = content[1].decode() if content[0] == TEXT else content[1]
            given.append(ItemMedium(key, f'the item "{key}"', asset.modality, value))
        found = encode_items(model, settings, given)
        with catalog.batch() as batch:
            batch.put_contents(generation_id, [item.content for item in found], [()] * len(found))
    return len(missing)
