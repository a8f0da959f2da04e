"""What a collection holds is for its owner alone, whatever others may read by default."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seehear.cli.app import make_app
from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import StoreError
from seehear.stores import Catalog

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
FAKE = Settings(model="fake", device="cpu", decode_workers=1)


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """The modes of a folder and all that is in it."""
    paths = [folder, *folder.rglob("*")]
    return {
        path.relative_to(folder.parent).as_posix(): oct(stat.S_IMODE(path.stat().st_mode))
        for path in paths
    }


def private(folder: Path) -> bool:
    return all(
        mode == ("0o700" if (folder.parent / name).is_dir() else "0o600")
        for name, mode in modes(folder).items()
    )


def test_a_collection_and_its_export_are_for_their_owner(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / "diary.md").write_text("We saw a lighthouse.")
    with Collection(tmp_path / "one" / "collection", FAKE) as library:
        library.index(media)
        assert library.search("lighthouse")
        folder = tmp_path / "one" / "collection"
        open_now = modes(folder)
        assert {f"collection/catalog.db{end}" for end in ("", "-wal", "-shm")} <= open_now.keys()
        assert {"collection/write.lock", "collection/write.pid"} <= open_now.keys()
        assert any(name.endswith(".vectors") for name in open_now)
        assert private(folder), open_now
        library.export(tmp_path / "export")
    assert modes(tmp_path / "export") == {"export": "0o600"}
    with Collection(tmp_path / "two", FAKE) as other:
        other.import_archive(tmp_path / "export")
        assert other.search("lighthouse")
    assert private(tmp_path / "two"), modes(tmp_path / "two")


def test_the_modes_that_someone_gave_stay(tmp_path: Path) -> None:
    folder = tmp_path / "collection"
    folder.mkdir(mode=0o755)
    Catalog.open(folder).close()
    assert modes(folder)["collection"] == "0o755"
    (folder / "catalog.db").chmod(0o640)
    catalog = Catalog.open(folder)
    with catalog.write_lock():
        catalog.locations.add_root(Path("/media"))
        assert {mode for name, mode in modes(folder).items() if "catalog.db" in name} == {"0o640"}
    catalog.close()


def test_the_last_search_is_for_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "diary.md").write_text("We saw a lighthouse.")
    with Collection(tmp_path / "collection", FAKE) as library:
        library.index(tmp_path / "media")
    asked = ["search", "lighthouse", "--collection", str(tmp_path / "collection")]
    assert CliRunner().invoke(make_app(), asked).exit_code == 0
    (kept,) = (tmp_path / "state").rglob("last-search-*.json")
    assert private(kept.parent), modes(kept.parent)


@pytest.mark.parametrize("name", ["write.pid", "write.lock"])
def test_a_link_in_place_of_a_lock_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("Dear diary")
    catalog = Catalog.open(tmp_path / "collection")
    (tmp_path / "collection" / name).unlink(missing_ok=True)
    (tmp_path / "collection" / name).symlink_to(tmp_path / "diary.txt")
    with pytest.raises(StoreError, match=rf"{name} is a link; delete it"), catalog.write_lock():
        pass
    assert (tmp_path / "diary.txt").read_text() == "Dear diary"
    (tmp_path / "collection" / name).unlink()
    with catalog.write_lock():
        catalog.locations.add_root(Path("/media"))
    catalog.close()
