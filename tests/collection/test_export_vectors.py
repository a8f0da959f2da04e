"""Vectors leave with what they are of, a block at a time, and come back as vectors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seehear
from seehear import vector_export
from seehear.types import Embeddings, Modality

TONE = (np.sin(np.arange(24 * 16_000) * 0.1).astype(np.float32) * 0.5, 16_000)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seehear.Collection]:
    folder = tmp_path_factory.mktemp("vectors")
    media = folder / "media"
    media.mkdir()
    Image.new("RGB", (20, 20), "red").save(media / "red.png")
    (media / "note.md").write_text("We saw a lighthouse.")
    with seehear.open(folder / "collection", model="fake") as library:
        library.index(media)
        library.add(
            texts=["a pier", "an engine"], ids=["pier", "engine"], metadata=[{"price": 3}, None]
        )
        library.add(audio=TONE, ids=["tone"])
        yield library


def test_each_row_has_its_line(
    library: seehear.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_export, "BLOCK", 2)
    count = library.export_vectors(tmp_path / "all.npy")
    rows = np.load(tmp_path / "all.npy", mmap_mode="r", allow_pickle=False)
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert (rows.shape, rows.dtype) == ((count, 32), np.float32)
    assert count == len(lines) == library.status().segments
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    by_id = {line["id"]: (line, row) for line, row in zip(lines, rows, strict=True)}
    line, row = by_id["pier"]
    assert (line["fields"], line["text"], line["modality"]) == ({"price": 3}, "a pier", "text")
    np.testing.assert_allclose(row, library.embed("a pier").array[0], atol=2e-3)
    times = [(line["start_s"], line["stop_s"]) for line in lines if line["id"] == "tone"]
    assert times[0][0] == 0
    assert times == sorted(times)
    assert len(times) > 2
    assert {Path(line["path"]).name for line in lines if line["id"] is None} == {
        "red.png",
        "note.md",
    }


def test_vectors_come_back(library: seehear.Collection, tmp_path: Path) -> None:
    library.export_vectors(tmp_path / "texts.npy", modalities="text", where="has price")
    rows = np.load(tmp_path / "texts.npy")
    ids = [json.loads(line)["id"] for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    (space,) = library.model().spaces_of(Modality.TEXT)
    with seehear.open(tmp_path / "other", model="fake") as other:
        other.add(vectors=Embeddings(Modality.TEXT, {space: rows}), ids=ids)
        assert [hit.id for hit in other.search("a pier")] == ["pier"]


def test_what_cannot_be_written(
    library: seehear.Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there.jsonl").write_text("x")
    for asked, told in (
        ({"path": tmp_path / "a.csv"}, "must end in .npy, .parquet or .lance"),
        ({"path": tmp_path / "a.npy", "space": "clip"}, 'No space "clip". The spaces are: fake'),
        ({"path": tmp_path / "there.npy"}, "exists"),
        ({"path": tmp_path / "a.npy", "modalities": "vidoe"}, "Did you mean video"),
    ):
        with pytest.raises(seehear.UsageError, match=told):
            library.export_vectors(**asked)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(seehear.EnvironmentFaultError, match="pyarrow"):
        library.export_vectors(tmp_path / "a.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["there.jsonl"]
    assert library.export_vectors(tmp_path / "there.npy", force=True) > 0
    with (
        seehear.open(tmp_path / "empty", model="fake") as empty,
        pytest.raises(seehear.UsageError, match="there are no vectors"),
    ):
        empty.export_vectors(tmp_path / "a.npy")


def test_parquet_has_both_in_one_file(library: seehear.Collection, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    count = library.export_vectors(tmp_path / "all.parquet")
    library.export_vectors(tmp_path / "all.npy")
    table = pq.read_table(tmp_path / "all.parquet")
    rows = np.stack(table["vector"].to_numpy(zero_copy_only=False))
    np.testing.assert_array_equal(rows, np.load(tmp_path / "all.npy"))
    assert table.num_rows == count
    assert table.schema.metadata[b"space"] == b"fake@1:32"
    assert json.loads(table["fields"][table["id"].to_pylist().index("pier")].as_py()) == {
        "price": 3
    }
