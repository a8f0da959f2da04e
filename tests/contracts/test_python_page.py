"""The examples of docs/python.md, run as they are written there, and what the page documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import seehear
from tests.server.media_files import picture, sound

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order, as one program, with the bundled model and some media in ~/Pictures."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEEHEAR_CACHE", str(tmp_path / "cache"))
    pictures = tmp_path / "Pictures"
    for name, colour in (("cat", "orange"), ("sea", "blue"), ("meadow", "green")):
        picture(pictures / f"{name}.jpg", colour)
    sound(pictures / "purr.wav", "red")
    (pictures / "walk.md").write_text("A dog on a beach by the sea.")
    found: dict[str, Any] = {}
    for example in EXAMPLES:
        exec(compile(example, str(PAGE), "exec"), found)
    printed = capsys.readouterr().out
    assert "5 added 0 failed" in printed
    assert "text ~/Pictures/walk.md".replace("~", str(tmp_path)) in printed
    assert "colour" in printed.rstrip().splitlines()[-1]
    assert (tmp_path / "seehear" / "catalog.db").is_file()


def test_every_public_name_is_documented() -> None:
    text = PAGE.read_text("utf-8")
    for name in seehear.__all__:
        assert f"## seehear.{name}\n" in text or f"| `{name}` |" in text, name
    for member in ("collection.index", "collection.search", "hit.moment", "| `min_score` |"):
        assert member in text
