"""The command line from outside: what it prints, where, and with which exit status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seehear.collection import Collection
from tests.cli.conftest import Run
from tests.indexers.helpers import broken

Ask = Callable[..., Any]


def test_index_and_search_speak_json(run: Run, ask: Ask, folder: Path) -> None:
    run.in_process = False
    report = ask("index", folder)
    assert report["added"] == 5
    assert {"updated", "moved", "removed", "unchanged", "failed", "failures"} <= set(report)
    hits = ask("search", "a red fire", "-k", "3")
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert {Path(hit["path"]).name for hit in hits} == {"fire.png", "siren.wav", "notes.md"}
    for hit in hits:
        assert 0 <= hit["score"] <= 1
        assert Path(hit["path"]).is_absolute()
        assert {"similarity", "modality", "start_s", "stop_s", "snippet"} <= set(hit)
    by_kind = {hit["modality"]: hit for hit in hits}
    assert by_kind["image"]["start_s"] is None
    assert by_kind["audio"]["start_s"] == 0.0
    assert "siren" in by_kind["text"]["snippet"]


def test_status_counts_what_is_there(run: Run, ask: Ask, indexed: Path) -> None:
    state = ask("status")
    assert state["assets"] == 5
    assert state["by_modality"] == {"image": 2, "audio": 2, "text": 1, "video": 0}
    assert state["model"] == "fake"
    assert state["segments"] >= 5
    assert state["index"]
    assert "5 (" in run("status").stdout


def test_every_kind_of_query_file(ask: Ask, run: Run, indexed: Path) -> None:
    assert ask("search", "--image", indexed / "fire.png", "--in", "audio", "-k", "1")[0][
        "path"
    ].endswith("siren.wav")
    assert ask("search", "--audio", indexed / "waves.wav", "--in", "image", "-k", "1")[0][
        "path"
    ].endswith("sky.jpg")
    first = ask("similar", indexed / "fire.png", "--in", "audio", "-k", "2")[0]
    assert first["path"].endswith("siren.wav")


def test_composed_queries(ask: Ask, run: Run, indexed: Path) -> None:
    without = ask("search", "red blue", "--not", "sky", "--in", "image", "-k", "1")
    assert without[0]["path"].endswith("fire.png")
    compact = ask("search", "2:red", "+", indexed / "siren.wav", "-k", "1")
    assert compact[0]["path"].endswith("siren.wav")
    lost = run("search", "red", "+", "lost.jpg", "-k", "1")
    assert "No file lost.jpg here" in lost.stderr
    assert ask("search", "red", "--under", indexed / "sub")[0]["path"].endswith("sky.jpg")
    assert not ask("search", "red", "--where", "size > 1GB")
    assert ask("search", "waves.wav", "--mode", "words", "-k", "1")[0]["path"].endswith("waves.wav")


def test_what_made_a_score_is_told_in_a_line(ask: Ask, run: Run, indexed: Path) -> None:
    asked = ("search", "red", "--explain", "--mode", "semantic")
    presence = [hit["why"][0]["presence"] for hit in ask(*asked)]
    told = [line for line in run(*asked).stdout.splitlines() if "cosine" in line]
    assert all(0 <= one <= 1 for one in presence)
    for line, one in zip(told, presence, strict=True):
        assert f"the collection holds such things: {one:.2f}" in line


def test_feedback_refines_the_last_search(ask: Ask, run: Run, indexed: Path) -> None:
    before = ask("search", "red blue", "-k", "5")
    rank = next(hit["rank"] for hit in before if hit["path"].endswith("sky.jpg"))
    after = ask("search", "--like", str(rank), "-k", "2")
    assert {Path(hit["path"]).name for hit in after} == {"sky.jpg", "waves.wav"}
    lost = run("search", "--like", "99", check=False)
    assert lost.returncode == 2
    assert "none with rank 99" in lost.stderr


def test_a_second_run_and_a_rename_encode_nothing(ask: Ask, run: Run, folder: Path) -> None:
    run("index", folder)
    assert ask("index", folder)["unchanged"] == 5
    (folder / "fire.png").rename(folder / "blaze.png")
    report = ask("index", folder)
    assert (report["moved"], report["added"], report["removed"]) == (1, 0, 0)
    assert any(hit["path"].endswith("blaze.png") for hit in ask("search", "red"))


def test_bad_files_fail_one_by_one(ask: Ask, run: Run, folder: Path) -> None:
    broken(folder / "broken.jpg")
    report = ask("index", folder)
    assert report["failed"] == 1
    assert report["added"] == 5
    (failure,) = report["failures"]
    assert failure["path"].endswith("broken.jpg")
    assert failure["stage"]
    assert failure["reason"]
    assert run("index", folder, "--strict", check=False).returncode == 3
    assert "broken.jpg" in run("failures").stdout


def test_a_missing_root_is_offline_not_deleted(ask: Ask, run: Run, folder: Path) -> None:
    run("index", folder)
    folder.rename(folder.with_name("elsewhere"))
    report = ask("index", folder)
    assert report["removed"] == 0
    assert report["offline"] == [str(folder)]
    assert ask("status")["assets"] == 5
    assert "(offline)" in run("status").stdout


def test_forget(ask: Ask, run: Run, folder: Path) -> None:
    run("index", folder)
    assert ask("forget", folder / "sub")["forgotten"] == 1
    note, hint = run("forget", folder / "fire.png").stderr.splitlines()
    assert note == "Removed 1 file from the collection."
    assert "adds it again" in hint
    run("index", folder / "fire.png")
    assert ask("status")["assets"] == 4
    assert run("forget", folder / "sub", check=False).returncode == 2


def test_the_contact_sheet_holds_every_hit(run: Run, indexed: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.html"
    run("search", "red", "-k", "5", "--sheet", sheet)
    page = sheet.read_text()
    assert page.count("<li") == 5
    assert "data:image/webp;base64," in page
    assert "data:image/png;base64," in page
    assert 'src="http' not in page


def test_generations_and_upgrade(ask: Ask, run: Run, folder: Path) -> None:
    run("index", folder)
    report = ask("upgrade", "--model", "fake:2")
    assert report["failed"] == 0
    found = ask("generations")
    assert [(g["model"], g["state"]) for g in found] == [("fake", "retired"), ("fake:2", "serving")]
    assert ask("search", "red", "-k", "1")
    assert len(ask("generations", "--drop", str(found[0]["id"]))) == 1
    serving = run("generations", "--drop", str(found[1]["id"]), check=False)
    assert (serving.returncode, "seehear upgrade" in serving.stderr) == (1, True)


WRONG: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("search",), 2, "Say what to look for"),
    (("search", "red", "--in", "smell"), 2, 'No type "smell". The types are'),
    (("search", "red", "--where", "colour = red"), 2, "colour"),
    (("search", "red", "--where", "taken > soon"), 2, "soon"),
    (("search", "--image", "nowhere.jpg"), 2, "nowhere.jpg"),
    (("search", "--image", "BROKEN"), 2, "broken.jpg: "),
    (("search", "red", "--image", "NOTES"), 2, "is a text, not a picture"),
    (("search", "--not", "red"), 2, "not only what to exclude"),
    (("search", "red", "-", "red"), 2, "both searched for and excluded"),
    (("search", "red", "+"), 2, "Nothing follows"),
    (("search", "red", "--like", "1", "--unlike", "1"), 2, "No search to refine yet"),
    (("search", "red", "--weight", "0"), 2, "above 0"),
    (("search", "red", "--weight", "1", "--weight", "2"), 2, "more weights than parts"),
    (("search", "red", "--mode", "magic"), 2, "magic"),
    (("index",), 2, "Missing argument"),
    (("index", "nowhere"), 2, "nowhere"),
    (("index", ".", "--model", "nonsense"), 1, "no model"),
    (("forget", "nowhere"), 2, "is not in the collection"),
)


def test_wrong_input_is_one_clear_line(run: Run, indexed: Path, tmp_path: Path) -> None:
    files = {"BROKEN": str(broken(tmp_path / "broken.jpg")), "NOTES": str(indexed / "notes.md")}
    for arguments, status, words in WRONG:
        done = run(*(files.get(argument, argument) for argument in arguments), check=False)
        assert done.returncode == status, done.stderr
        assert words in done.stderr
        told = done.stderr.splitlines()
        assert len([line for line in told if line.startswith(("seehear:", "Error:"))]) == 1


def test_without_a_collection_the_error_says_what_to_do(run: Run) -> None:
    run.in_process = False
    done = run("search", "red", check=False)
    assert done.returncode == 1
    assert "seehear index" in done.stderr


def test_models_are_listed_with_size_and_licence(ask: Ask, run: Run) -> None:
    cards = {card["name"]: card for card in ask("models")}
    assert cards["tiny"]["present"]
    assert cards["standard"]["licence"]
    assert set(run("models").stdout.splitlines()) >= cards.keys()
    assert (cards["tiny"]["languages"], cards["multilingual"]["languages"]) == ("English", "many")


def test_a_folder_to_watch_that_is_not_there_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Collection, "watch", lambda *_, **__: None)
    (tmp_path / "here").mkdir()
    told = run("watch", tmp_path / "here", tmp_path / "nowhere").stderr.splitlines()
    assert told == [
        f"{tmp_path / 'nowhere'} does not exist yet. Waiting for it.",
        "Watching. Press Ctrl-C to stop.",
    ]
