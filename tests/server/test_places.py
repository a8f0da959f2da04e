"""Folders by label, and errors without paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from seehear import errors
from seehear.errors import BrokenMediaError, UsageError
from seehear.server.content_types import DOWNLOAD, content_type_of
from seehear.server.folder_labels import FolderLabels, printable
from seehear.server.problems import problem_of, without_paths

ROOTS = [Path("/home/ann/Pictures"), Path("/mnt/old/Pictures"), Path("/home/ann/Pictures/raw")]


def test_folders_have_labels_and_labels_lead_back() -> None:
    places = FolderLabels(ROOTS)
    assert places.labels == ["Pictures", "Pictures (2)", "raw"]
    assert places.folder_of(Path("/home/ann/Pictures/a.jpg")) == "Pictures"
    assert places.folder_of(Path("/home/ann/Pictures/2024/July/a.jpg")) == "Pictures/2024/July"
    assert places.folder_of(Path("/home/ann/Pictures/raw/x/a.dng")) == "raw/x"
    assert places.folder_of(Path("/home/ann/Pictures/rawest/a.jpg")) == "Pictures/rawest"
    assert places.folder_of(Path("/home/ann/Pictures 2/a.jpg")) == ""
    assert places.folder_of(Path("/etc/passwd")) == ""
    for root in ROOTS[:2]:
        file = root / "2024" / "a.jpg"
        assert places.resolve(places.folder_of(file)) == file.parent


@pytest.mark.parametrize(
    "folder",
    ["/etc", "../etc", "Pictures/..", "Pictures/../../etc", "Pictures\\..", "Pictures/a/../b", "~"],
)
def test_no_label_leads_out_of_a_root(folder: str) -> None:
    with pytest.raises(UsageError):
        FolderLabels(ROOTS).resolve(folder)
    with pytest.raises(UsageError):
        FolderLabels(ROOTS).resolve("Pictures//etc/passwd")


def test_a_root_may_be_a_file_and_a_name_may_be_no_utf8() -> None:
    assert FolderLabels([Path("/a/b.jpg")]).folder_of(Path("/a/b.jpg")) == "b.jpg"
    assert FolderLabels([Path("/")]).labels == ["root"]
    assert FolderLabels([Path("/")]).folder_of(Path("/a/b.jpg")) == "root/a"
    assert FolderLabels([Path("/")]).folder_of(Path("/b.jpg")) == "root"
    assert printable(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")) == "caf\\xe9.jpg"


@pytest.mark.parametrize(
    "message",
    [
        "cannot read /home/ann/Pictures/a.jpg: truncated",
        "'/tmp/seehear-query-x1/query0.jpg' is broken",
        "C:\\Users\\ann\\a.jpg is broken",
        "~/Pictures is offline",
        "the collection /home/ann/My Pictures/x is locked",
    ],
)
def test_messages_lose_their_paths(message: str) -> None:
    told = without_paths(message, ["/home/ann/My Pictures"])
    assert "/ann" not in told.replace("\\", "/")
    assert "tmp" not in told
    assert "Pictures" not in told.replace("…", "")


def test_messages_keep_what_is_no_path() -> None:
    for message in (
        "k must be at most 1000; image/png and text->image, 3/4 of it (and/or)",
        "seehear://ab12/4 is of another collection; this one is seehear://cd34",
        "'/x' is not the address of a moment, such as seehear://COLLECTION/NUMBER#t=12.5,19",
    ):
        assert without_paths(message) == message.replace("/x", "…")


def test_every_error_has_a_status() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.SeehearError):
            problem = problem_of(kind("/x/y: no"))
            assert 400 <= problem.status < 600, name
            assert "/x/y" not in problem.message
    assert problem_of(BrokenMediaError("cut")).status == 422
    assert problem_of(UsageError("no")).code == "bad_query"


def test_nothing_is_sent_as_something_that_runs() -> None:
    assert content_type_of("html") == "text/plain; charset=utf-8"
    assert content_type_of("svg") == DOWNLOAD
    assert content_type_of("anything else") == DOWNLOAD
    assert content_type_of("jpeg") == "image/jpeg"
