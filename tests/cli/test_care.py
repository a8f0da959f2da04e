"""Verify, export and import, as a person runs them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

Ask = Callable[..., Any]


def test_verify_says_what_it_found_and_did(
    run: Run, ask: Ask, folder: Path, tmp_path: Path
) -> None:
    run("index", folder)
    good = run("verify", "--hashes")
    assert "OK: 5 assets, 5 segments" in good.stderr
    assert good.stdout == ""

    shutil.rmtree(tmp_path / "collection" / "cache")
    told = ask("verify")
    assert (told["good"], told["mended"], told["caches_good"]) == (True, False, True)
    assert told["renewed_files"] > 0
    assert told["faults"] == []
    assert {index["agreed"] for index in told["indexes"]} == {True}
    assert told["hashes"] is None
    shutil.rmtree(tmp_path / "collection" / "cache")
    repaired = run("verify").stderr
    assert "OK (repaired): 5 assets" in repaired
    assert "Repaired: " in repaired

    (folder / "fire.png").unlink()
    missing = run("verify", "--hashes")
    assert "missing: " in missing.stdout
    assert "1 changed, altered or missing" in missing.stderr

    sky = folder / "sub" / "sky.jpg"
    status, data = sky.stat(), bytearray(sky.read_bytes())
    data[-10] ^= 1
    sky.write_bytes(data)
    os.utime(sky, ns=(status.st_atime_ns, status.st_mtime_ns))
    altered = run("verify", "--hashes", check=False)
    assert altered.returncode == 1
    assert "altered: " in altered.stdout

    with closing(sqlite3.connect(tmp_path / "collection" / "catalog.db")) as database:
        images = "SELECT MIN(id) FROM segments WHERE modality = 'image'"
        ((id_,),) = database.execute(images).fetchall()
        database.execute("DELETE FROM vectors WHERE segment_id = ?", (id_,))
        database.commit()
    lost = run("verify", check=False)
    assert lost.returncode == 1
    assert f"truth: 1 segments have no vector ({id_})" in lost.stdout
    assert "Import an export" in lost.stderr


def test_a_collection_moves_to_another_place(
    run: Run, ask: Ask, folder: Path, tmp_path: Path
) -> None:
    run("index", folder)
    hits = ask("search", "red", "-k", "5")
    export = tmp_path / "all.seehear"
    assert ask("export", export)["assets"] == 5
    there = tmp_path / "other machine" / "media"
    shutil.copytree(folder, there)  # new inodes and new times, the same content
    shutil.rmtree(folder)
    other = ("--collection", tmp_path / "imported")
    told = ask("import", export, "--map", f"{folder}={there}", *other)
    assert told["roots_now"] == [{"path": str(there), "online": True}]
    found = ask("search", "red", "-k", "5", *other)
    moved = [str(there / Path(hit["path"]).relative_to(folder)) for hit in hits]
    assert [hit["path"] for hit in found] == moved
    assert [hit["score"] for hit in found] == pytest.approx([h["score"] for h in hits], abs=1e-3)
    report = ask("index", there, *other)
    assert (report["unchanged"], report["added"], report["updated"]) == (5, 0, 0)
    assert ask("verify", "--hashes", *other)["good"]

    for arguments, status, words in (
        (("import", export, *other), 2, "not empty"),
        (("export", export), 2, "already exists"),
        (("import", folder / "nowhere", "--collection", tmp_path / "x"), 2, "no such file"),
        (("import", export, "--map", "old", "--collection", tmp_path / "x"), 2, "OLD=NEW"),
        (("import", export, "--map", "/a=/b", "--collection", tmp_path / "x"), 2, "has no folder"),
    ):
        done = run(*arguments, check=False)
        assert (done.returncode, words in done.stderr) == (status, True), done.stderr


def test_what_is_no_export_leaves_no_collection_behind(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "notes.md"
    other.write_text("no archive")
    for name, words in ((other, "not an export"), (tmp_path / "none", "no such file")):
        done = run("import", name, check=False)
        assert done.returncode == 2
        assert words in done.stderr
    assert not (tmp_path / "collection").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("index", ""),
        ("watch", ""),
        ("forget", ""),
        ("similar", ""),
        ("search", "a", "--image", ""),
        ("search", "a", "--sheet", ""),
        ("status", "--collection", ""),
        ("export", ""),
        ("train", "--pairs", "", "--out", "x"),
        ("serve", "--root", ""),
        ("serve", "--collection", ""),
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_current_folder(run: Run, arguments: tuple[str, ...]) -> None:
    """`seehear index "$FOLDER"` where FOLDER is not set must not index where one stands."""
    done = run(*arguments, check=False)
    assert done.returncode == 2
    assert "the path is empty" in done.stderr.replace("\n", " ")
    assert not run.collection.exists()


@pytest.mark.parametrize("command", [("status",), ("search", "a"), ("index", "."), ("verify",)])
def test_a_file_in_place_of_the_collection_is_told(
    run: Run, command: tuple[str, ...], tmp_path: Path
) -> None:
    run.collection = tmp_path / "a file"
    run.collection.write_text("notes")
    done = run(*command, check=False)
    assert done.returncode == 2
    assert "a file is a file, not a folder. Choose another place" in done.stderr
    assert done.stderr.count("\n") == 1
