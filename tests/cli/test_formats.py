"""What the command line says of kinds of files: those that are read, and those that were met."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from seehear import media
from seehear.cli.output import skipped, unread
from tests.cli.conftest import Run
from tests.indexers.helpers import broken, note

Ask = Callable[..., Any]


def test_formats_lists_every_suffix(run: Run, ask: Ask) -> None:
    shown = run("formats").stdout
    told = ask("formats")
    listed = [s for item in (*told["read"], *told["not_read"]) for s in item["suffixes"]]
    assert {s for group in media.SUFFIXES.values() for s in group} <= set(listed)
    assert all(suffix in shown for suffix in listed)
    assert all(item["reason"] for item in told["not_read"])
    assert {item["modality"] for item in told["read"]} == {"image", "audio", "video", "text"}


def test_what_is_skipped_is_named_by_suffix(run: Run, ask: Ask, folder: Path) -> None:
    for name in ("a.doc", "b.DOC", "c.xml", "Thumbs.db"):
        broken(folder / name, b"\x7fELF" + bytes(200))
    done = run("index", folder)
    assert "3 skipped: 2 .doc, 1 .xml; see `seehear formats`" in done.stderr
    assert ask("index", folder)["unsupported"] == {".doc": 2, ".xml": 1}
    assert ask("status")["unsupported"] == {".doc": 2, ".xml": 1}
    assert "2 .doc, 1 .xml; see `seehear formats`" in run("status").stdout
    assert "Not read: 2 .doc, 1 .xml; see `seehear formats`" in run("failures").stderr


def test_a_folder_that_holds_its_collection(run: Run, folder: Path) -> None:
    run.collection = folder / "collection"
    done = run("index", folder)
    assert f"note: {run.collection} is skipped: it is this collection's own folder" in done.stderr
    assert "5 added" in done.stderr
    assert "5 unchanged" in run("index", folder).stderr


def test_subtitles_are_told_apart_in_status(run: Run, ask: Ask, indexed: Path) -> None:
    state = ask("status")
    assert sum(state["by_modality"].values()) == state["assets"]
    assert state["subtitles"] == 0


def test_the_counts_of_a_run_are_those_of_status(run: Run, ask: Ask, folder: Path) -> None:
    """Copies are counted as files, and subtitles as assets, as `verify` counts them."""
    (folder / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nA whale sings.\n")
    for name in ("one.txt", "two.txt", "three.txt"):
        (folder / name).write_text("The same words in three files.")
    added = ask("index", folder)["added"]
    assets = ask("verify")["assets"]
    shown = run("status").stdout
    assert f"files       {added} ({added} complete)\n" in shown
    assert f"copies      {added - assets}\n" in shown
    assert f"assets      {assets} (" in shown
    (folder / "one.txt").unlink()
    run("index", folder)
    assert (
        f"files       {added - 1} ({added - 1} complete)\ncopies      1\n" in run("status").stdout
    )
    (folder / "two.txt").unlink()
    broken(folder / "bad.jpg")
    broken(folder / "old.doc", b"\x7fELF" + bytes(200))
    note(folder / "blank.txt", "\n")
    done = run("index", folder)
    assert f"{added - 2} unchanged, 1 failed, 1 without content\n" in done.stderr
    assert "See `seehear files --state without_content` for the reason" in done.stderr
    shown = run("status").stdout
    told = f"({added - 2} complete, 1 without content, 1 failed, 1 skipped; see `seehear files`)"
    assert f"files       {added + 1} {told}\n" in shown
    assert "copies" not in shown


def test_every_file_is_listed_with_its_state(run: Run, ask: Ask, folder: Path) -> None:
    broken(folder / "bad.jpg")
    broken(folder / "old.doc", b"\x7fELF" + bytes(200))
    note(folder / "sub" / "blank.txt", "\n")
    (folder / "nowhere").symlink_to(folder / "missing")
    run("index", folder)
    shown = run("files").stdout.splitlines()
    assert len(shown) == sum(ask("status")["files"].values()) == 9
    assert f"without content {folder / 'sub' / 'blank.txt'}: it has no words" in shown
    assert f"skipped         {folder / 'nowhere'}: a link that leads nowhere" in shown
    assert f"complete        {folder / 'fire.png'}" in shown
    only = ask("files", "--state", "Failed, without content")
    assert [(Path(file["path"]).name, file["state"]) for file in only] == [
        ("bad.jpg", "failed"),
        ("blank.txt", "without_content"),
    ]
    assert ask("files", "--under", folder / "sub", "--state", "failed") == []
    refused = run("files", "--state", "fialed", check=False)
    assert refused.returncode == 2
    assert 'No state "fialed". Did you mean failed?' in refused.stderr


def test_a_file_that_failed_is_told_where_it_is_asked_for(run: Run, folder: Path) -> None:
    broken(folder / "sub" / "Bad photo.jpg")
    run("index", folder)
    told = f"{folder / 'sub' / 'Bad photo.jpg'} could not be indexed: "
    assert told in run("search", "bad photo.jpg").stderr
    assert told in run("search", "--text", "Bad photo.jpg", "--json").stderr
    assert told not in run("search", "bad photo").stderr


def test_long_lists_of_suffixes_are_summed() -> None:
    many = {f".s{at:02}": 20 - at for at in range(12)}
    line = unread(many)
    assert line.startswith("20 .s00, 19 .s01, ")
    assert f", {sum(n for n in list(many.values())[8:])} others; see" in line
    assert skipped(3, {}) == "3 skipped: 3 links or special files"
    assert skipped(3, {".doc": 2}) == (
        "3 skipped: 1 link or special file; 2 .doc; see `seehear formats`"
    )
