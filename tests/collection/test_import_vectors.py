"""Vectors made elsewhere come in from files, whole or not at all, and answer as where they were."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seehear
from seehear import vector_export, vector_files, vector_import
from seehear.types import Hit

TONE = (np.sin(np.arange(24 * 16_000) * 0.1).astype(np.float32) * 0.5, 16_000)
FIELDS: list[dict[str, Any]] = [
    {"price": 3, "shot": date(2024, 5, 1), "tags_of_mine": ["a", "b"], "new": True},
    {"price": 2.5, "seen": datetime(2024, 5, 1, 12, 30, tzinfo=UTC), "colour": "blue"},
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seehear.Collection]:
    folder = tmp_path_factory.mktemp("made")
    (folder / "media").mkdir()
    (folder / "media" / "note.md").write_text("We saw a lighthouse. " * 120)
    with seehear.open(folder / "collection", model="fake") as library:
        library.add(
            texts=["a pier by the sea", "an engine"], ids=["a/b", "engine"], metadata=FIELDS
        )
        library.index(folder / "media")
        library.add(audio=TONE, ids=["tone"])
        yield library


@pytest.fixture
def other(tmp_path: Path) -> Iterator[seehear.Collection]:
    with seehear.open(tmp_path / "other", model="fake") as other:
        yield other


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (vector_export, vector_files):
        monkeypatch.setattr(module, "BLOCK", 2)
    monkeypatch.setattr(vector_import, "ITEMS_AT_ONCE", 2)


def rows_of(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(size=(count, 32)).astype(np.float32)


def write_parquet(file: Path, columns: Mapping[str, Sequence[Any]], space: str = "") -> Path:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file.parent.mkdir(exist_ok=True)
    table = pa.table({name: list(values) for name, values in columns.items()})
    pq.write_table(table.replace_schema_metadata({"space": space} if space else None), file)
    return file


def seen(hits: Sequence[Hit]) -> list[tuple[Any, ...]]:
    return [(hit.path.name, round(hit.score, 3), hit.moment, hit.text, hit.fields) for hit in hits]


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".lance"])
def test_what_was_exported_answers_the_same(
    suffix: str, library: seehear.Collection, other: seehear.Collection, tmp_path: Path
) -> None:
    if suffix == ".lance":
        pytest.importorskip("lance")
    if suffix != ".npy":
        pytest.importorskip("pyarrow")
    file = tmp_path / f"all{suffix}"
    library.export_vectors(file)
    assert other.import_vectors(file) == 4
    assert len(other) == len(library) == 4
    assert other.status().segments == library.status().segments > 6
    assert other.fields() == library.fields()
    for asked in ("the sea", "engine", "lighthouse", "pier"):
        wanted = seen(library.search(asked, where="has price"))
        assert seen(other.search(asked, where="has price")) == wanted
        assert [hit.text for hit in other.search(asked)] == [
            hit.text for hit in library.search(asked)
        ]
    moments = [hit.moment for hit in library.search(audio=TONE, modalities="audio")]
    assert [hit.moment for hit in other.search(audio=TONE, modalities="audio")] == moments
    assert other.search("engine", where="shot >= 2024-04 and new = true")[0].id == "a/b"
    item = other.get("engine")
    assert item is not None
    assert (item.text, item.fields["seen"]) == ("an engine", FIELDS[1]["seen"])
    again = tmp_path / f"again{suffix}"
    other.export_vectors(again)
    assert library.export_vectors(file, force=True) == other.export_vectors(again, force=True)


def test_folders_of_clip_retrieval(other: seehear.Collection, tmp_path: Path) -> None:
    made, images, texts = tmp_path / "made", rows_of(22), rows_of(22, 1)
    for part in range(11):  # part 10 follows part 9, not part 1
        two = slice(2 * part, 2 * part + 2)
        for name, rows in (("img_emb", images), ("text_emb", texts)):
            (made / name).mkdir(parents=True, exist_ok=True)
            np.save(made / name / f"{name}_{part}.npy", rows[two].astype(np.float16))
        described: dict[str, list[Any]] = {
            "image_path": [f"/pictures/{n}.jpg" for n in range(22)[two]],
            "caption": [f"boat number {n}" for n in range(22)[two]],
            "width": [640, 320],
            "license": ["CC BY", None],
            "exif": [{"ISO": 100}, None],
            "LICENSE NAME": [0.5, float("nan")],
        }
        write_parquet(made / "metadata" / f"metadata_{part}.parquet", described)
    assert other.import_vectors(made, space="fake") == 22
    (hit,) = other.search(vectors=_asked(other, images[21]), k=1)
    assert hit.id == "/pictures/21.jpg"
    assert hit.similarity == pytest.approx(1, abs=1e-3)
    asset = other.asset(hit.asset_id)
    assert asset is not None
    assert (asset.width_px, asset.details["caption"]) == (320, "boat number 21")
    assert {one.id for one in other.search("boat 7", mode="words")} == {"/pictures/7.jpg"}
    item = other.get("/pictures/0.jpg")
    assert item is not None
    assert item.fields == {"license": "CC BY", "exif": '{"ISO": 100}', "LICENSE_NAME": 0.5}
    with pytest.raises(seehear.UsageError, match=r'"/pictures/0.jpg" and \d+ more are in use'):
        other.import_vectors(made, space="fake", modality="text")
    assert other.import_vectors(made, space="fake", modality="text", replace=True) == 22
    assert other.search(vectors=_asked(other, texts[3]), k=1)[0].id == "/pictures/3.jpg"
    assert len(other) == 22


def _asked(library: seehear.Collection, row: Any) -> seehear.Embeddings:
    (space,) = library.model().spaces_of(seehear.Modality.IMAGE)
    return seehear.Embeddings(seehear.Modality.IMAGE, {space: row[None] / np.linalg.norm(row)})


def test_fields_that_are_kept_are_there(other: seehear.Collection, tmp_path: Path) -> None:
    """Both of files of others, and of what `export_vectors` wrote."""
    columns = {"vector": rows_of(2).tolist(), "id": ["a", "b"], "price": [1, 2], "size_x": [3, 4]}
    file = write_parquet(tmp_path / "a.parquet", columns)
    asked: Any = {"space": "fake", "modality": "image"}
    for wrong in ("prize", ["price", "prize"], ["pri"]):
        with pytest.raises(seehear.UsageError, match=r"no row has pri(ze)? to keep"):
            other.import_vectors(file, fields=wrong, **asked)
    assert len(other) == 0
    assert other.import_vectors(file, fields="price", **asked) == 2
    assert set(other.fields()) == {"price"}
    other.import_vectors(file, replace=True, **asked)
    other.export_vectors(tmp_path / "b.npy")
    with pytest.raises(seehear.UsageError, match="no row has prize"):
        other.import_vectors(tmp_path / "b.npy", fields=["prize"], replace=True)
    other.import_vectors(tmp_path / "b.npy", fields=["size_x"], replace=True)
    item = other.get("a")
    assert item is not None
    assert item.fields == {"size_x": 3}


def test_folders_of_embedding_reader(other: seehear.Collection, tmp_path: Path) -> None:
    (tmp_path / "vectors").mkdir()
    for part in range(3):
        np.save(tmp_path / "vectors" / f"{part:03}.npy", rows_of(3, part))
        described: dict[str, list[Any]] = {
            "url": [f"https://x/{part}/{n}" for n in range(3)],
            "path": [None] * 3,
        }
        write_parquet(tmp_path / "about" / f"part-{part}.parquet", described)
    asked: Any = {"space": "fake", "modality": "image"}
    assert other.import_vectors(tmp_path / "vectors", metadata=tmp_path / "about", **asked) == 9
    assert other.search(vectors=_asked(other, rows_of(3, 2)[1]), k=1)[0].id == "https://x/2/1"
    assert other.import_vectors(tmp_path / "vectors", **asked) == 9  # by name and row
    assert other.get("001-2") is not None
    columns = {"embedding": rows_of(3).tolist(), "other": rows_of(3, 5).tolist(), "id": [7, 8, 9]}
    file = write_parquet(tmp_path / "with" / "a.parquet", columns)
    assert other.import_vectors(file.parent, fields=[], **asked) == 3
    assert other.search(vectors=_asked(other, rows_of(3)[1]), k=1)[0].id in {
        *("8", "000-1", "https://x/0/1")
    }
    assert other.import_vectors(file, column="other", replace=True, fields=[], **asked) == 3
    assert other.search(vectors=_asked(other, rows_of(3, 5)[0]), k=1)[0].id == "7"


def test_arrays_in_one_file(other: seehear.Collection, tmp_path: Path) -> None:
    np.savez_compressed(
        tmp_path / "a.npz",
        vectors=rows_of(5),
        ids=np.array(list("vwxyz")),
        id=np.array(["é1", "b", "c", "d", "e"]),
        price=np.arange(5) / 4,
        day=np.array(["2024-01-0" + n for n in "12345"], dtype="datetime64[D]"),
        space=np.array("fake@1:32"),
        modality=np.array(["sounds"] * 4 + ["film"]),
    )
    assert other.import_vectors(tmp_path / "a.npz") == 5
    item = other.get("b")
    assert item is not None
    assert item.fields == {"price": 0.25, "day": date(2024, 1, 2), "ids": "w"}
    assert [item.modality for item in other.items()] == ["audio"] * 4 + ["video"]


def spoiled(folder: Path) -> Iterator[tuple[Callable[[], Path], str]]:
    """What cannot be taken, and what is told of it."""

    def npy(rows: Any, name: str = "a.npy", **saved: Any) -> Callable[[], Path]:
        def save() -> Path:
            np.save(folder / name, rows, **saved)
            return folder / name

        return save

    def cut(name: str, make: Callable[[], Path], keep: float) -> Callable[[], Path]:
        def save() -> Path:
            whole = make().read_bytes()
            (folder / name).write_bytes(whole[: int(len(whole) * keep)])
            return folder / name

        return save

    def parquet(**columns: Any) -> Callable[[], Path]:
        given = {"vector": rows_of(5).tolist()} | columns
        return lambda: write_parquet(folder / "a.parquet", given, "fake@1:32")

    def npz(**arrays: Any) -> Callable[[], Path]:
        def save() -> Path:
            np.savez(folder / "a.npz", **arrays)
            return folder / "a.npz"

        return save

    def lines(text: str) -> Callable[[], Path]:
        def save() -> Path:
            (folder / "a.jsonl").write_text(text)
            return npy(rows_of(2))()

        return save

    nan, zero = rows_of(5), rows_of(5)
    nan[3, 7], zero[4] = np.nan, 0
    whole = parquet(modality=["image"] * 5)
    yield lambda: folder / "none.parquet", "no file or folder"
    yield lambda: folder, "has no vectors"
    yield npy(rows_of(5)[:, :20]), r"vectors of 20 numbers; fake@1:32 has 32"
    yield npy(nan), "a.npy, row 3: the vector is zero or not finite"
    yield npy(zero), "a.npy, row 4: the vector is zero or not finite"
    yield npy(rows_of(5).astype(np.int64)), r"has int64 .*: vectors are rows of float32"
    yield npy(rows_of(5)[0]), r"\(2,\): vectors are rows of float32"
    yield npy(np.asfortranarray(rows_of(5))), "in the order of C"
    yield npy(np.array([{}, {}], dtype=object), allow_pickle=True), "has an array of object"
    yield cut("b.npy", npy(rows_of(5)), 0.7), "b.npy is cut off: it ends before its 5 rows"
    yield cut("b.npy", npy(rows_of(5)), 0.05), "cannot read .*b.npy: .* Is it whole"
    yield cut("b.parquet", whole, 0.6), "cannot read .*b.parquet: .* Is it whole"
    yield cut("b.npz", npz(vectors=rows_of(5)), 0.6), "cannot read .*b.npz: .* Is it whole"
    yield npz(vectors=rows_of(5), id=np.array(["a", "b"])), "2 values in id for 5 vectors"
    yield npz(one=rows_of(5), two=rows_of(5)), "several columns of vectors: choose one of one, two"
    yield npz(id=np.array(["a"])), "has no column of vectors: its columns are id"
    yield lines('{"id": "a"}\nhello\n'), "a.jsonl, line 2: give an object of JSON"
    yield lines('{"id": "a"}\n'), "a.jsonl describes 1 of the 2 rows of"
    yield lines("{}\n" * 3), "a.jsonl describes more than the 2 rows of"
    yield lines('{"id": "a", "space": "clip@2:32"}\n{}'), "vectors of clip@2:32; the model fake has"
    yield parquet(id=list("aabcd")), 'row 1: the id "a" is given twice'
    yield parquet(id=list("abcda")), 'the id "a" is given twice'
    yield parquet(id=["a", "b", "c", "d" * 501, "e"]), "row 3: an id is a text of 1 to 500"
    yield parquet(id=["a", "b", "c", "d", "taken"]), 'the id "taken" is in use'
    yield parquet(price=["1", "2", "3", "4", "5"]), 'price is a number, not a text: .*item "a-0"'
    yield parquet(big=[2**60] * 5), r"row 0: the field big cannot keep .* Choose with fields"
    yield parquet(start_s=[1.0] * 5), "row 0: times 1.0 to None"
    yield parquet(matched=["smell"] * 5), "row 0: 'smell' is not a valid Modality"
    yield parquet(vector=[[1.0] * 32] * 3 + [[1.0]] + [[1.0] * 32]), "of other lengths, in vector"
    yield parquet(vector=[[1.0] * 32] * 4 + [None]), "rows without a vector"


def test_what_cannot_be_taken_adds_nothing(other: seehear.Collection, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    other.add(texts="what was there", ids=["taken"], metadata=[{"price": 3}])
    folder = tmp_path / "files"
    tried = 0
    for make, told in spoiled(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with pytest.raises(seehear.SeehearError, match=told) as caught:
            other.import_vectors(make(), modality="image", space="fake")
        assert isinstance(caught.value, seehear.UsageError | seehear.SpaceMismatchError)
        assert "\n" not in str(caught.value)
        assert len(other) == 1, told
        assert set(other.fields()) == {"price"}, told
        tried += 1
    assert tried > 25
    assert [hit.id for hit in other.search("what was there")] == ["taken"]


def test_the_space_and_the_kind_are_never_guessed(
    other: seehear.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", rows_of(2))
    for asked, told in (
        ({}, "does not say in which space its vectors are.*--space.*: fake"),
        ({"space": "clip"}, 'No space "clip". The spaces are: fake'),
        ({"space": "fake"}, r"row 0: nothing says what the vectors are of.*text, image"),
        ({"space": "fake", "modality": "smell"}, "The types are"),
        ({"space": "fake", "metadata": tmp_path / "none"}, "^no file or folder .*none$"),
    ):
        with pytest.raises(seehear.UsageError, match=told):
            other.import_vectors(tmp_path / "a.npy", **asked)
    assert len(other) == 0
    file = tmp_path / "a.parquet"
    file.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(seehear.EnvironmentFaultError, match="pyarrow"):
        other.import_vectors(file, space="fake")


def test_vectors_of_one_space_of_a_model_of_two(
    library: seehear.Collection, other: seehear.Collection, tmp_path: Path
) -> None:
    """Words of such a model have a vector in each: with one alone they would be found by half."""
    library.export_vectors(tmp_path / "texts.npy", modalities="text")
    model: Any = other.model()
    (space,) = model.spaces_of(seehear.Modality.TEXT)
    second = seehear.EmbeddingSpace("hears", "1", 8)
    two: Any = _Two(model, space, second)
    made = vector_import.VectorImport(two, space=None, modality=None, fields=None)
    with pytest.raises(seehear.SpaceMismatchError, match="text has vectors in fake and hears"):
        list(made.items(vector_files.read_blocks(tmp_path / "texts.npy")))


class _Two:
    """A model whose texts have vectors in two spaces."""

    def __init__(self, inner: Any, *spaces: seehear.EmbeddingSpace) -> None:
        self._inner, self._spaces = inner, spaces

    def spaces_of(self, modality: seehear.Modality) -> tuple[seehear.EmbeddingSpace, ...]:
        return self._spaces if modality is seehear.Modality.TEXT else self._spaces[:1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_lines_are_read_as_they_come(tmp_path: Path) -> None:
    """A file is not read further than what was asked for."""
    np.save(tmp_path / "a.npy", rows_of(9))
    lines = [json.dumps({"id": str(n)}) for n in range(9)]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines[:6], "spoiled"]))
    blocks = vector_files.read_blocks(tmp_path / "a.npy")
    assert [next(blocks).first for _ in range(3)] == [0, 2, 4]
    with pytest.raises(seehear.UsageError, match="line 7"):
        next(blocks)
