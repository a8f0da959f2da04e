"""`seehear facets`: what values a collection has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seehear import Collection, Settings, UsageError
from tests.cli.conftest import Run

Ask = Callable[..., Any]


def test_the_values_of_a_field_are_counted(ask: Ask, run: Run, indexed: Path) -> None:
    assert ask("facets", "type") == {
        "field": "type",
        "distinct": 3,
        "values": [
            {"value": "audio", "count": 2},
            {"value": "image", "count": 2},
            {"value": "text", "count": 1},
        ],
    }
    assert run("facets", "type").stdout == "2  audio\n2  image\n1  text\n"
    short = run("facets", "types", "--top", "1")
    assert (short.stdout, short.stderr) == (
        "2  audio\n",
        "2 more values. Show them with --top 3\n",
    )
    for word in ("format", "formats", "kind"):
        assert ask("facets", word)["values"]


def test_every_count_is_what_the_filter_finds(ask: Ask, indexed: Path) -> None:
    for found in ask("facets"):
        for one in found["values"]:
            if found["field"] == "folder":
                continue  # a filter finds what lies deeper, too
            where = f"{found['field']} = '{one['value']}'"
            assert len(ask("search", "red", "--where", where)) == one["count"], where


def test_the_overview_leaves_out_what_is_empty(
    run: Run, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(indexed)
    lines = run("facets").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["type", "format", "folder", "orientation"]
    assert lines[2].split(maxsplit=1)[1] == ". (4), sub (1)"
    none = run("facets", "camera")
    assert (none.stdout, none.stderr) == ("", "No file has a value for camera.\n")


def test_an_unknown_field_names_the_nearest(run: Run, indexed: Path) -> None:
    for word, meant in (("camra", "camera"), ("flder", "folder"), ("formt", "format")):
        wrong = run("facets", word, check=False)
        assert wrong.returncode == 2
        assert f'No list of values for "{word}". Did you mean {meant}' in wrong.stderr
    assert run("facets", "size", check=False).returncode == 2


def test_nothing_is_listed_of_an_empty_collection(run: Run) -> None:
    Collection(run.collection, Settings(model="fake")).close()
    done = run("facets")
    assert (done.stdout, done.stderr) == (
        "",
        "Nothing is indexed yet. Index a folder of media first: seehear index FOLDER\n",
    )
    assert json.loads(run("facets", "type", "--json").stdout)["values"] == []


def test_the_library_lists_them_too(run: Run, indexed: Path) -> None:
    with Collection(run.collection, Settings(model="fake")) as library:
        found = library.facets("type", top=1)
        assert [(one.value, one.count) for one in found.values] == [("audio", 2)]
        assert found.distinct == 3
        with pytest.raises(UsageError, match="Did you mean"):
            library.facets("tipe")
