"""Items from memory come with ids and fields of one's own, all of a call or none, and stay."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import seehear
from seehear.types import Embeddings, EmbeddingSpace, Modality

RED, BLUE, GREEN = (Image.new("RGB", (64, 48), name) for name in ("red", "blue", "green"))
BROKEN = b"\x89PNG\r\n\x1a\nnothing"
TONE = (np.sin(np.arange(3 * 16_000) * 0.1).astype(np.float32) * 0.5, 16_000)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[seehear.Collection]:
    with seehear.open(tmp_path / "collection", model="fake") as library:
        yield library


def added(library: seehear.Collection) -> seehear.Collection:
    library.add(
        images=[RED, BLUE, GREEN],
        ids=["red", "blue", "green"],
        metadata=[
            {"price": 120.5, "colour": "red"},
            {"price": 80, "colour": "Blue"},
            {"price": 20, "colour": "green"},
        ],
    )
    return library


def state(library: seehear.Collection) -> tuple[Any, ...]:
    return len(library), library.items().rows, library.fields(), library.status().segments


def test_a_question_of_style_colour_and_price_is_one_call(library: seehear.Collection) -> None:
    added(library)
    hits = library.search(image=RED, where='price < 100 and colour = "blue"')
    assert [(hit.id, hit.fields) for hit in hits] == [("blue", {"colour": "Blue", "price": 80})]
    (best, *_) = library.search("a fire engine")
    assert (best.id, best.fields["price"]) == ("red", 120.5)
    assert best.to_dict()["fields"] == {"colour": "red", "price": 120.5}
    with pytest.raises(seehear.UsageError, match=r'No colour "blu"\. Did you mean Blue'):
        library.search("a fire engine", where="colour = blu")


def test_every_kind_of_medium_is_found_by_what_it_is(library: seehear.Collection) -> None:
    data = io.BytesIO()
    BLUE.save(data, "JPEG")
    library.add(images=[data.getvalue(), np.asarray(RED)], ids=["bytes", "pixels"])
    library.add(audio=TONE, ids=["tone"])
    library.add(texts=["%PDF is a format", "GIF89a too", "a lighthouse"], ids=["pdf", "gif", "sea"])
    library.add(vectors=library.embed("a fire engine"), ids=["vector"])
    assert library.search("lighthouse", k=1)[0].id == "sea"
    assert library.search("GIF89a", mode="words", k=1)[0].id == "gif"
    assert library.search(audio=TONE, k=1)[0].id == "tone"
    assert {hit.id for hit in library.search("a fire engine", k=2)} == {"vector", "pixels"}
    tone = library.get("tone")
    assert tone is not None
    assert (tone.modality, tone.kept) == (Modality.AUDIO, None)
    pdf = library.get("pdf")
    assert pdf is not None
    assert (pdf.text, pdf.modality) == ("%PDF is a format", Modality.TEXT)
    assert len(library) == len(list(library)) == 7
    assert library.verify(hashes=True).caches_good


def test_vectors_of_the_same_space_made_elsewhere(library: seehear.Collection) -> None:
    (space,) = library.model().spaces_of(Modality.IMAGE)
    rows = 3 * library.embed(images=[RED, BLUE]).array
    library.add(vectors=Embeddings(Modality.IMAGE, {space: rows}), ids=["r", "b"])
    assert library.search(image=BLUE, k=1)[0].id == "b"
    assert library.search(image=BLUE, k=1)[0].similarity == pytest.approx(1, abs=1e-3)


SPACE = EmbeddingSpace("fake", "1", 32)
OTHER = EmbeddingSpace("clip", "1", 32)
ONES = np.ones((1, 32), dtype=np.float32)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"texts": ["a"], "ids": ["red"]}, seehear.UsageError, 'the id "red" is in use'),
        ({"texts": ["a", "b"], "ids": ["x", "x"]}, seehear.UsageError, 'the id "x" is given twice'),
        ({"texts": ["a", "b"], "ids": ["x"]}, seehear.UsageError, "1 ids for 2 items"),
        ({"texts": ["a"], "ids": [""]}, seehear.UsageError, "an id is a text of 1 to 500"),
        ({"texts": ["a"], "ids": ["a\nb"]}, seehear.UsageError, "an id is a text of 1 to 500"),
        ({"texts": ["a"], "ids": [7]}, seehear.UsageError, "ids.0. takes a text, not 7"),
        ({"texts": ["a", " "]}, seehear.UsageError, r"texts\[1\] is not a text with words"),
        ({"texts": ["a"], "images": [RED]}, seehear.UsageError, "one of the five"),
        ({}, seehear.UsageError, "one of the five"),
        ({"images": [RED, np.zeros((4, 4))]}, seehear.UsageError, r"images\[1\]: an image is"),
        ({"images": [RED, BROKEN]}, seehear.MediaError, r"images\[1\]"),
        ({"images": b"words"}, seehear.UsageError, r"images\[0\] is of the kind text"),
        ({"images": [RED, "/none.png"]}, seehear.UsageError, r"images\[1\]: No file /none.png"),
        ({"audio": [RED]}, seehear.UsageError, r"audio\[0\] is of the kind image, not audio"),
        ({"audio": (np.zeros(9, "f4"), 3)}, seehear.UsageError, r"audio\[0\]: a sound has 1,000"),
        ({"texts": ["a"], "metadata": [{"price": "3"}]}, seehear.UsageError, "price is a number"),
        ({"texts": ["a"], "metadata": [{"size": 3}]}, seehear.UsageError, '"size" is a field'),
        ({"texts": ["a"], "metadata": [{"a b": 3}]}, seehear.UsageError, "cannot be called 'a b'"),
        ({"texts": ["a"], "metadata": [{"near": 3}]}, seehear.UsageError, "be called 'near'"),
        ({"texts": ["a"], "metadata": [{"x": {}}]}, seehear.UsageError, "x takes a text, a number"),
        ({"texts": ["a"], "metadata": [{"x": float("nan")}]}, seehear.UsageError, "not keep nan"),
        ({"texts": ["a"], "metadata": [{"x": 2**53 + 1}]}, seehear.UsageError, "cannot keep 9007"),
        ({"texts": ["a"], "metadata": [{"x": "\0"}]}, seehear.UsageError, "null characters"),
        ({"texts": ["a"], "metadata": []}, seehear.UsageError, "metadata has 0 entries for 1"),
        ({"vectors": ONES}, seehear.UsageError, "vectors takes an Embeddings or None"),
        (
            {"vectors": Embeddings(Modality.IMAGE, {OTHER: ONES})},
            seehear.SpaceMismatchError,
            "in the space fake@1:32, these are in clip@1:32",
        ),
        (
            {"vectors": Embeddings(Modality.IMAGE, {SPACE: ONES[:, :8]})},
            seehear.UsageError,
            r"are float32 \(1, 32\), not float32 \(1, 8\)",
        ),
        (
            {"vectors": Embeddings(Modality.IMAGE, {SPACE: 0 * ONES})},
            seehear.UsageError,
            "vector 0 of fake@1:32 is zero or not finite",
        ),
        (
            {"vectors": Embeddings(Modality.IMAGE, {SPACE: ONES * np.float32("nan")})},
            seehear.UsageError,
            "vector 0 of fake@1:32 is zero or not finite",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_adds_nothing(
    library: seehear.Collection, given: dict[str, Any], error: type[Exception], told: str
) -> None:
    before = state(added(library))
    with pytest.raises(error, match=told) as caught:
        library.add(**given)
    assert "\n" not in str(caught.value)
    assert state(library) == before


def test_fields_and_media_change(library: seehear.Collection) -> None:
    added(library)
    changed = library.update("red", {"price": None, "colour": "crimson"})
    assert (changed.id, changed.fields) == ("red", {"colour": "crimson"})
    assert library.update("red", image=GREEN, metadata={"price": 3}).fields == {
        "colour": "crimson",
        "price": 3,
    }
    assert {hit.id for hit in library.search(image=GREEN, k=2)} == {"red", "green"}
    before = state(library)
    with pytest.raises(seehear.UnknownItemError, match='no item has the id "none"'):
        library.update("none", {"price": 3})
    with pytest.raises(seehear.UsageError, match="price is a number, not a text"):
        library.update("red", {"price": "cheap"})
    with pytest.raises(seehear.MediaError):
        library.update("red", {"price": 9}, image=BROKEN)
    assert state(library) == before


def test_items_are_deleted_by_id_and_by_filter(library: seehear.Collection) -> None:
    added(library)
    assert library.delete(["red", "none"]) == 1
    assert library.get("red") is None
    assert library.delete(where="price > 50") == 1
    assert [hit.id for hit in library.search(image=RED)] == ["green"]
    for nothing in ({}, {"ids": ["green"], "where": "price > 3"}):
        with pytest.raises(seehear.UsageError, match="give ids, or a filter"):
            library.delete(**nothing)  # type: ignore[arg-type]
    assert library.add(texts=["a"], ids=["red"]) == ["red"]


def test_pages_follow_each_other(library: seehear.Collection) -> None:
    ids = library.add(texts=[f"text number {n}" for n in range(25)])
    seen: list[str] = []
    cursor = None
    while True:
        page = library.items(limit=10, cursor=cursor)
        seen += [item.id for item in page]
        if len(seen) == 10:
            library.delete(ids[3])  # what is behind does not move what is ahead
            library.add(texts=["late"], ids=["late"])
        if (cursor := page.cursor) is None:
            break
    assert seen == [*ids, "late"]
    whole = library.assets(limit=25, modalities="text")
    assert (len(whole), whole.cursor) == (25, None)
    assert len(library.assets(modalities="image")) == 0
    for cursor in ("after-x", "10", "after-", "after-" + "9" * 30, "ä"):
        with pytest.raises(seehear.UsageError, match=f'No cursor "{cursor}"'):
            library.items(cursor=cursor)
    for limit in (0, 1001):
        with pytest.raises(seehear.UsageError, match="limit goes from 1 to 1,000"):
            library.assets(limit=limit)


def test_a_scan_verify_and_forget_leave_items_alone(
    library: seehear.Collection, tmp_path: Path
) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    RED.save(folder / "red.png")
    added(library)
    assert library.index(folder).added == 1
    (folder / "red.png").unlink()
    assert library.index(folder).removed == 1
    BLUE.save(folder / "blue.png")
    library.index(folder)
    items = library.items().rows
    assert library.verify(hashes=True).faults == ()
    assert library.forget(folder) == 1
    assert library.items().rows == items
    assert library.index(folder).added == 1
    assert {hit.id for hit in library.search(image=BLUE, k=2)} == {"blue", None}
    assert library.roots()[0].path == folder
    values = library.facets("colour").values
    assert [one.value for one in values] == ["Blue", "green", "red"]
    assert [one.value for one in library.facets("folder").values] == [str(folder)]


def test_another_model_encodes_what_is_kept(library: seehear.Collection) -> None:
    added(library)
    library.add(texts=["a lighthouse"], ids=["sea"])
    library.add(audio=TONE, ids=["tone"])
    with pytest.raises(seehear.UsageError, match='nothing is kept of the item "tone"'):
        library.upgrade("fake:2")
    assert [one.model for one in library.generations()] == ["fake"]
    library.delete("tone")
    library.add(audio=TONE, ids=["tone"], keep=True)
    assert library.upgrade("fake:2").promoted
    assert library.status().model == "fake:2"
    assert library.search(image=RED, k=1, modalities="image")[0].id == "red"
    assert library.search("lighthouse", k=1)[0].id == "sea"
    assert library.search(audio=TONE, k=1)[0].id == "tone"
    assert library.verify().faults == ()


def test_a_picture_of_what_is_kept(library: seehear.Collection) -> None:
    added(library)
    (hit,) = library.search(image=RED, k=1)
    drawn, kind = library.thumbnail(hit)
    assert kind == "image/webp"
    assert np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB")).mean((0, 1))[0] > 240
    library.add(audio=TONE, ids=["tone"])
    (hit,) = library.search(audio=TONE, k=1)
    with pytest.raises(seehear.MediaError, match='nothing is kept of the item "tone"'):
        library.thumbnail(hit)


def test_threads_add_search_and_delete_at_once(library: seehear.Collection) -> None:
    added(library)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(4):
                key = f"{number}-{turn}"
                library.add(texts=[f"words of {key}"], ids=[key], metadata=[{"number": number}])
                assert library.search(f"words of {key}", where=f"number = {number}")
                if turn % 2:
                    assert library.delete(key) == 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(library) == 3 + 4 * 2
    assert library.verify().faults == ()
