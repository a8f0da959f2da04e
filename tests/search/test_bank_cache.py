"""Test encoded banks in the user's cache folder: who uses them, and what happens to bad files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders.base import SingleSpaceModel
from seehear.encoders.fake import FakeEncoder, fake_joined, image
from seehear.encoders.torch_tools import LEAST_ROWS
from seehear.search.calibration import query_bank
from seehear.search.calibration.fitted import OWN_QUERIES
from seehear.search.calibration.query_bank_cache import Banks, encoded_bank
from seehear.types import Modality, Query, QueryPart, SampleSpec, VideoSample
from tests.indexers.helpers import note
from tests.search.library import Library


def counted(encoder: FakeEncoder, folder: Path, modality: Modality = Modality.IMAGE) -> Banks:
    """The bank by a model that is new to this process, as in a process of its own."""
    return encoded_bank(modality, SingleSpaceModel("fake", encoder), folder)


def same(one: Banks, other: Banks) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[s], other[s]) for s in one)


@pytest.mark.parametrize("modality", Modality)
def test_the_second_collection_encodes_one_sample_to_know_the_model(
    tmp_path: Path, modality: Modality
) -> None:
    encoder = FakeEncoder()
    first = counted(encoder, tmp_path, modality)
    encoded = encoder.samples[modality]
    assert encoded >= query_bank.SYNTHETIC_COUNT
    assert same(counted(encoder, tmp_path, modality), first)
    assert encoder.samples[modality] == encoded + 1


def test_a_process_reads_it_once(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    model = SingleSpaceModel("fake", encoder)
    encoded_bank(Modality.IMAGE, model, tmp_path)
    encoded = encoder.samples[Modality.IMAGE]
    encoded_bank(Modality.IMAGE, model, tmp_path)
    assert encoder.samples[Modality.IMAGE] == encoded


def test_every_space_of_a_joined_model_is_kept(tmp_path: Path) -> None:
    first = encoded_bank(Modality.TEXT, fake_joined(), tmp_path)
    assert len(first) == 2
    assert same(encoded_bank(Modality.TEXT, fake_joined(), tmp_path), first)


def test_another_revision_has_a_bank_of_its_own(tmp_path: Path) -> None:
    counted(FakeEncoder("1"), tmp_path)
    other = FakeEncoder("2")
    counted(other, tmp_path)
    assert other.samples[Modality.IMAGE] == query_bank.SYNTHETIC_COUNT


@pytest.mark.parametrize("modality", Modality)
def test_a_model_that_only_calls_itself_the_same_is_not_believed(
    tmp_path: Path, modality: Modality
) -> None:
    counted(FakeEncoder(), tmp_path, modality)
    askew = FakeEncoder(turned=True)  # of the same name and revision
    found = counted(askew, tmp_path, modality)
    assert same(found, counted(askew, tmp_path / "elsewhere", modality))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x40
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [_cut, _flipped, lambda path: path.write_bytes(b""), lambda path: path.unlink()],
    ids=["cut", "flipped", "empty", "gone"],
)
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    encoder = FakeEncoder()
    first = counted(encoder, tmp_path)
    (file,) = tmp_path.glob("*.bank")
    whole = file.read_bytes()
    damage(file)
    assert same(counted(encoder, tmp_path), first)
    assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder can be made below this")
    encoder = FakeEncoder()
    first = counted(encoder, tmp_path / "file" / "banks")
    assert same(first, counted(encoder, tmp_path / "banks"))


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    from seehear.search.calibration import query_bank_cache

    encoder = FakeEncoder()
    model = SingleSpaceModel("fake", encoder)
    encoded = query_bank.encode_bank(Modality.IMAGE, model)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(40):
            threads.submit(query_bank_cache._write, Modality.IMAGE, model, tmp_path, encoded)
    assert len(list(tmp_path.iterdir())) == 1
    before = encoder.samples[Modality.IMAGE]
    counted(encoder, tmp_path)
    assert encoder.samples[Modality.IMAGE] == before + 1


def test_a_bank_goes_the_way_that_queries_go() -> None:
    spec = SampleSpec(image_px=16)
    for modality, step in query_bank.BATCH_ROWS.items():
        samples = query_bank.bank_samples(modality, spec)
        rows = [len(s.frames) if isinstance(s, VideoSample) else 1 for s in samples]
        portions = [sum(rows[start : start + step]) for start in range(0, len(rows), step)]
        assert max(portions) < LEAST_ROWS


def test_an_index_run_encodes_the_bank_of_words_and_of_kinds_that_are_few(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for number in range(3):
        library.add(f"{number}.png", image("red", 40 + number))
    library.keep_calibration()
    (space,) = library.model.spaces_of(Modality.TEXT)
    generation = library.catalog.generations.serving()
    assert generation is not None
    kept = {
        modality
        for modality in Modality
        if library.catalog.generations.blob(generation.id, query_bank.bank_name(modality, space))
        is not None
    }
    assert kept == {Modality.TEXT, Modality.IMAGE}


def test_enough_items_of_ones_own_need_no_made_up_ones(tmp_path: Path) -> None:
    library = Library(tmp_path)
    colours = ("red", "blue", "green")
    for number in range(OWN_QUERIES):
        library.add(f"{number}.png", image(colours[number % 3], 40 + number))
    encoder = library.model._encoder  # type: ignore[attr-defined]
    before = encoder.samples[Modality.IMAGE]
    library.keep_calibration()
    asked = Query((QueryPart((image("red"),), label="x"),), k=3)
    assert library.engine.search(asked)
    assert encoder.samples[Modality.IMAGE] == before + 1


def test_a_second_collection_gives_the_same_answers(tmp_path: Path) -> None:
    note(tmp_path / "media" / "a.md", "A red fire engine.")
    note(tmp_path / "media" / "b.md", "The sea is blue.")
    scores = []
    for name in ("one", "two"):
        settings = Settings(model="fake", decode_workers=1)
        with Collection(tmp_path / name, settings) as collection:
            collection.index(tmp_path / "media")
            scores.append([hit.score for hit in collection.search("red")])
    assert scores[0] == scores[1]
