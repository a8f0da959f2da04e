"""A collection in which nothing is indexed: a bad query is told as ever, a good one that there is
nothing to find yet, and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seehear import Collection, Query, QueryPart, Settings, UsageError
from seehear.types import Mode
from tests.cli.conftest import Run
from tests.indexers.helpers import picture

NONSENSE = "nonsense >"


@pytest.fixture(params=["never indexed", "an empty folder"])
def empty(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Run:
    Collection(run.collection, Settings(model="fake")).close()
    if request.param == "an empty folder":
        (tmp_path / "media").mkdir()
        run("index", tmp_path / "media")
    return run


BAD: dict[tuple[str, ...], str] = {
    ("search",): "Say what to look for",
    ("search", "--not", "red"): "not only what to exclude",
    ("search", "red", "--where", NONSENSE): "The filter is incomplete",
    ("search", "--image", "FILE", "--mode", "words"): "searches by words only",
    ("duplicates", "--where", NONSENSE): "The filter is incomplete",
    ("duplicates", "--in", "smell"): 'No type "smell"',
    ("similar", "nowhere.jpg"): "No file ",
    ("upgrade", "--model", "nonsense"): "",
}


def test_a_bad_query_is_told(empty: Run, tmp_path: Path) -> None:
    file = str(picture(tmp_path / "red.png"))
    for arguments, words in BAD.items():
        done = empty(*(file if one == "FILE" else one for one in arguments), check=False)
        assert done.returncode in ({2} if words else {1, 2}), arguments
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("seehear: ")
        assert words in line


def test_a_good_query_says_that_nothing_is_indexed(empty: Run, tmp_path: Path) -> None:
    file = picture(tmp_path / "red.png")
    for arguments in (
        ("search", "red"),
        ("search", "red", "--where", "width > 5", "--under", tmp_path),
        ("similar", file),
        ("duplicates",),
        ("duplicates", "--where", "width > 5"),
    ):
        done = empty(*arguments)
        assert done.stdout == ""
        assert done.stderr == (
            "Nothing is indexed yet. Index a folder of media first: seehear index FOLDER\n"
        )
        assert json.loads(empty(*arguments, "--json").stdout) == []


def test_where_there_is_something_nothing_is_found(run: Run, indexed: Path) -> None:
    for arguments, told in (
        (("search", "red", "--where", "size > 1GB"), "Nothing found.\n"),
        (("duplicates", "--where", "size > 1GB"), "No duplicates found.\n"),
    ):
        assert run(*arguments).stderr == told


def test_what_is_empty_cannot_be_judged(empty: Run, tmp_path: Path) -> None:
    pytest.importorskip("ir_measures")
    judged = tmp_path / "judged.jsonl"
    judged.write_text('{"text": "red", "relevant": ["red.png"]}\n')
    done = empty("eval", judged, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Nothing is indexed yet" in done.stderr


def test_the_library_checks_and_finds_nothing(empty: Run, tmp_path: Path) -> None:
    with Collection(empty.collection, Settings(model="fake")) as library:
        assert library.is_empty
        assert library.search("red", where="width > 5") == []
        assert library.run(Query((QueryPart(("red",)),))) == []
        assert library.duplicates(where="width > 5") == []
        for query in (
            Query(()),
            Query((QueryPart(("red",)),), k=0),
            Query((QueryPart(("red",)),), where=NONSENSE),
            Query((QueryPart((" ",)),)),
            Query((QueryPart(()),), mode=Mode.WORDS),
        ):
            with pytest.raises(UsageError):
                library.run(query)
        with pytest.raises(UsageError):
            library.search()
        with pytest.raises(UsageError):
            library.search("red", where=NONSENSE)
        with pytest.raises(UsageError):
            library.duplicates(where=NONSENSE)
        with pytest.raises(UsageError):
            library.duplicates(modalities=["smell"])  # type: ignore[list-item]
        library.index(picture(tmp_path / "media" / "red.png"))
        assert not library.is_empty
