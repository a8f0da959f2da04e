"""`seehear search` takes filters from plain words, tells so, and can be told not to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.indexers.helpers import picture, sound


@pytest.fixture
def dated(run: Run, tmp_path: Path) -> Path:
    """Pictures of two summers, and a sound of one."""
    media = tmp_path / "media"
    picture(media / "IMG_20240615_120000.png", "red")
    picture(media / "IMG_20250615_120000.png", "blue")
    sound(media / "20240616_120000.wav", "red")
    run("index", media)
    return media


def _names(stdout: str) -> set[str]:
    return {
        Path(hit["path"]).name[:8].lstrip("IMG_") + hit["modality"] for hit in json.loads(stdout)
    }


def test_a_date_is_a_filter_and_the_rest_is_searched(run: Run, dated: Path) -> None:
    done = run("search", "red", "in", "June", "2024", "--json")
    assert _names(done.stdout) == {"2024image", "20240616audio"}
    assert "Filter: taken in June 2024. To search for all words use --as-written." in done.stderr


def test_kinds_and_dates_hold_beside_other_filters(run: Run, dated: Path) -> None:
    done = run("search", "photos of red since 2024", "--where", "taken < 2025", "--json")
    assert _names(done.stdout) == {"2024image"}
    assert "Filter: pictures only, taken since 2024." in done.stderr


def test_words_as_written_make_no_filter(run: Run, dated: Path) -> None:
    for arguments in (["red in June 2024", "--as-written"], ["--text", "red in June 2024"]):
        done = run("search", *arguments, "--json")
        assert len(json.loads(done.stdout)) == 3
        assert "Filter" not in done.stderr


def test_a_year_alone_is_offered_and_taken_when_asked(run: Run, dated: Path) -> None:
    done = run("search", "red 2024", "--json")
    assert len(json.loads(done.stdout)) == 3
    assert "Also possible as a filter: taken in 2024 (2024). To use it add --take." in done.stderr
    done = run("search", "red 2024", "--take", "--json")
    assert _names(done.stdout) == {"2024image", "20240616audio"}


def test_a_filter_that_no_file_meets_is_told_and_not_used(run: Run, dated: Path) -> None:
    done = run("search", "red in June 2019", "--json")
    assert len(json.loads(done.stdout)) == 3
    assert 'No file for the filter "taken in June 2019": searching for its words.' in done.stderr


def test_a_query_that_is_a_filter_alone_ranks_the_files_that_meet_it(run: Run, dated: Path) -> None:
    done = run("search", "in June 2024", "--json")
    assert _names(done.stdout) == {"2024image", "20240616audio"}
