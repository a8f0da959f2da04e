"""Opening a folder that is not a collection, and a collection that was closed."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import seehear
from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import CollectionClosedError, StoreError, UsageError
from seehear.types import Hit, Modality, Query, QueryPart

FAKE = Settings(model="fake", device="cpu", decode_workers=1)

HIT = Hit(1, 1.0, 1.0, Path("a.png"), Modality.IMAGE, 1, 1, Modality.IMAGE)
CALLS: dict[str, Callable[[Collection], Any]] = {
    "__enter__": lambda c: c.__enter__(),
    "index": lambda c: c.index(c.folder.parent),
    "watch": lambda c: c.watch(c.folder.parent),
    "upgrade": lambda c: c.upgrade("fake:2"),
    "model_change": lambda c: c.model_change("fake:2"),
    "generations": lambda c: c.generations(),
    "drop_generation": lambda c: c.drop_generation(1),
    "verify": lambda c: c.verify(),
    "export": lambda c: c.export(c.folder.parent / "archive"),
    "import_archive": lambda c: c.import_archive(c.folder.parent / "archive"),
    "search": lambda c: c.search("a boat"),
    "run": lambda c: c.run(Query(parts=(QueryPart(("a boat",)),))),
    "parse_query": lambda c: c.parse_query("a boat"),
    "text_part": lambda c: c.text_part("a boat"),
    "file_part": lambda c: c.file_part(c.folder.parent / "a.txt"),
    "similar": lambda c: c.similar(c.folder.parent / "a.txt"),
    "thumbnail": lambda c: c.thumbnail(HIT),
    "stored_file": lambda c: c.stored_file(1),
    "duplicates": lambda c: c.duplicates(),
    "facets": lambda c: c.facets("type"),
    "notes": lambda c: c.notes(Query((QueryPart(("x",)),))),
    "is_empty": lambda c: c.is_empty,
    "status": lambda c: c.status(),
    "roots": lambda c: c.roots(),
    "unsupported": lambda c: c.unsupported(),
    "failures": lambda c: c.failures(),
    "files": lambda c: c.files(),
    "asset": lambda c: c.asset(1),
    "assets": lambda c: c.assets(),
    "assets_by_id": lambda c: c.assets_by_id([1]),
    "locations": lambda c: c.locations(1),
    "segments": lambda c: c.segments(1, 9),
    "folders": lambda c: c.folders(),
    "model": lambda c: c.model(),
    "warm_up": lambda c: c.warm_up(),
    "forget": lambda c: c.forget(c.folder.parent),
    "forget_readings": lambda c: c.forget_readings("speech"),
    "unread": lambda c: c.unread(),
    "words": lambda c: c.words(1, 1),
    "embed": lambda c: c.embed("dog"),
    "export_vectors": lambda c: c.export_vectors("x.npy"),
    "import_vectors": lambda c: c.import_vectors("x.npy"),
    "search_many": lambda c: c.search_many(["a"]),
    "get": lambda c: c.get("a"),
    "items": lambda c: c.items(),
    "fields": lambda c: c.fields(),
    "add": lambda c: c.add(texts="a"),
    "update": lambda c: c.update("a"),
    "delete": lambda c: c.delete("a"),
    "interpret": lambda c: c.interpret("a dog"),
    "disconnect": lambda c: c.disconnect(),
    "unusual": lambda c: c.unusual(),
    "typical": lambda c: c.typical(),
    "hit_at": lambda c: c.hit_at("seehear://1/1"),
    "cut": lambda c: c.cut([], "clips"),
    "hear": lambda c: c.hear("x.wav"),
}


def photo(folder: Path, name: str = "a.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(folder / name)
    return folder


def test_every_public_method_is_called_here() -> None:
    public = {
        name
        for name, value in inspect.getmembers(Collection)
        if (inspect.isfunction(value) or isinstance(value, property)) and not name.startswith("_")
    }
    assert public - {"close"} == set(CALLS) - {"__enter__"}


@pytest.mark.parametrize("name", CALLS)
def test_after_close_every_call_says_so(name: str, tmp_path: Path) -> None:
    collection = Collection(tmp_path / "collection", FAKE)
    collection.close()
    with pytest.raises(CollectionClosedError, match=r"collection is closed; open it again"):
        CALLS[name](collection)


def test_closing_twice_is_fine_and_opening_again_as_well(tmp_path: Path) -> None:
    media = photo(tmp_path / "media")
    with Collection(tmp_path / "collection", FAKE) as collection:
        collection.index(media)
        collection.close()
        collection.close()
    with Collection(tmp_path / "collection", FAKE) as again:
        assert again.status().assets == 1
    assert issubclass(CollectionClosedError, StoreError)


def test_a_call_that_runs_while_another_thread_closes_comes_to_its_end(tmp_path: Path) -> None:
    media = photo(tmp_path / "media")
    collection = Collection(tmp_path / "collection", FAKE)
    running, closed = threading.Event(), threading.Event()
    outcome: list[object] = []

    def progress(_: object) -> None:
        running.set()
        closed.wait(20)

    def index() -> None:
        try:
            outcome.append(collection.index(media, progress=progress).added)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=index)
    thread.start()
    assert running.wait(20)
    collection.close()
    with pytest.raises(CollectionClosedError):
        collection.status()
    closed.set()
    thread.join(60)
    assert outcome == [1]
    with Collection(tmp_path / "collection", FAKE) as again:
        assert again.status().assets == 1


def test_many_threads_that_search_while_one_closes_get_answers_or_are_told(tmp_path: Path) -> None:
    media = photo(tmp_path / "media")
    collection = Collection(tmp_path / "collection", FAKE)
    collection.index(media)
    started = threading.Barrier(5)
    wrong: list[BaseException] = []
    told: list[CollectionClosedError] = []

    def ask() -> None:
        started.wait()
        try:
            while True:
                assert collection.search("a red thing")
        except CollectionClosedError as error:
            told.append(error)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    collection.close()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert len(told) == 4


@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_an_empty_or_a_missing_folder_becomes_a_collection(there: bool, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "mine"
    if there:
        folder.mkdir(parents=True)
    seehear.open(folder, model="fake").close()
    assert (folder / "catalog.db").is_file()


@pytest.mark.parametrize(
    "left", [".DS_Store", "Thumbs.db", "desktop.ini", "write.lock", "write.pid", "cache/x"]
)
def test_what_systems_and_killed_processes_leave_behind_is_no_content(
    left: str, tmp_path: Path
) -> None:
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).write_bytes(b"")
    seehear.open(tmp_path, model="fake").close()
    assert (tmp_path / "catalog.db").is_file()


@pytest.mark.parametrize("content", ["a.png", "2023/b.png", "notes.txt", "vectors/c.png"])
def test_a_folder_that_holds_other_files_is_refused(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "My photos"
    (folder / content).parent.mkdir(parents=True)
    (folder / content).write_bytes(b"x")
    before = sorted(folder.rglob("*"))
    with pytest.raises(UsageError, match="holds other files and is not a collection") as caught:
        seehear.open(folder)
    message = str(caught.value)
    assert "seehear.open(OTHER)" in message
    assert f"seehear index '{folder}' --collection OTHER" in message
    assert "\n" not in message
    assert sorted(folder.rglob("*")) == before, "nothing is left in the folder"


def test_a_collection_with_other_files_beside_it_still_opens(tmp_path: Path) -> None:
    seehear.open(tmp_path, model="fake").close()
    photo(tmp_path)
    seehear.open(tmp_path).close()


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.index(""),
        lambda c: c.watch(""),
        lambda c: c.forget(""),
        lambda c: c.similar(""),
        lambda c: c.export(""),
        lambda _: seehear.open(""),
    ],
    ids=["index", "watch", "forget", "similar", "export", "open"],
)
def test_an_empty_path_is_not_the_current_folder(
    call: Callable[[Collection], Any], tmp_path: Path
) -> None:
    with (
        Collection(tmp_path / "collection", FAKE) as library,
        pytest.raises(UsageError, match="the path is empty"),
    ):
        call(library)
