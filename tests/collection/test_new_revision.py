"""A collection made with an earlier revision of `tiny`: it says so, keeps all, and is upgraded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from seehear.collection import Collection
from seehear.encoders.tiny import encoder
from seehear.errors import SeehearError

EARLIER = "c9ceee799195"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for name, colour in (("sky", (90, 150, 230)), ("grass", (40, 130, 40))):
        Image.new("RGB", (96, 64), colour).save(folder / f"{name}.png")
    (folder / "note.md").write_text("The dog sleeps in the garden.")
    return folder


@pytest.fixture
def made_before(tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection whose vectors are of a revision that is no longer installed."""
    before = tmp_path / "before"
    shutil.copytree(encoder.TINY, before)
    manifest = json.loads((before / "manifest.json").read_text())
    (before / "manifest.json").write_text(json.dumps(manifest | {"revision": EARLIER}))
    with monkeypatch.context() as earlier, Collection(tmp_path / "c") as library:
        earlier.setattr(encoder, "TINY", before)
        assert library.index(media).added == 3
    return tmp_path / "c"


@pytest.mark.parametrize("way", ["index", "upgrade"])
def test_it_is_refused_until_it_is_upgraded(made_before: Path, media: Path, way: str) -> None:
    with Collection(made_before) as library:
        with pytest.raises(SeehearError, match=f"tiny {EARLIER}.*run `seehear index`"):
            library.search("a dog")
        report = library.index(media) if way == "index" else library.upgrade("tiny")
        assert report.promoted
        assert library.search("a dog sleeps in the garden")[0].path.name == "note.md"
        assert [one.revision == EARLIER for one in library.generations()] == [True, False]
