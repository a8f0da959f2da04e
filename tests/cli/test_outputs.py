"""Files that commands write: nothing that exists is replaced unasked, and never through a link."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

from benchmarks import record
from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders.tiny.checkpoint import check_save
from seehear.errors import StorageFullError, UsageError
from seehear.files import output_file, write_output
from tests.cli.conftest import Run
from tests.contracts.test_benchmarks import options

Command = Callable[[Path], list[str | Path]]


@pytest.fixture
def qrels(indexed: Path, tmp_path: Path) -> Path:
    path = tmp_path / "qrels.jsonl"
    path.write_text(json.dumps({"text": "red", "relevant": [str(indexed / "fire.png")]}))
    return path


@pytest.fixture(params=["search", "similar", "export", "eval"])
def command(request: pytest.FixtureRequest, indexed: Path, qrels: Path) -> Command:
    """Every command that writes a file that a person names."""
    made: dict[str, Command] = {
        "search": lambda out: ["search", "red", "--sheet", out],
        "similar": lambda out: ["similar", indexed / "fire.png", "--sheet", out],
        "export": lambda out: ["export", out],
        "eval": lambda out: ["eval", qrels, "--run", out],
    }
    return made[request.param]


def folder(path: Path) -> None:
    path.mkdir()
    (path / "photo.jpg").write_bytes(b"a photo")


TARGETS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda path: path.write_bytes(b"a photo"), "already exists|is a file"),
    "a link to a file": (lambda path: path.symlink_to("photo.jpg"), "is a link"),
    "a dangling link": (lambda path: path.symlink_to("nowhere"), "is a link"),
    "a link to a folder": (lambda path: path.symlink_to("sub"), "is a link"),
    "a folder": (folder, "is a folder|holds other files"),
    "a pipe": (os.mkfifo, "a device or a pipe|is a file"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("force", [False, True])
def test_what_exists_is_left_alone(
    run: Run, command: Command, tmp_path: Path, target: str, force: bool
) -> None:
    if not (force and target == "a file"):  # the next test replaces it
        assert_left_alone(run, command, tmp_path, target, force)


def test_a_url_is_no_output(run: Run, command: Command) -> None:
    done = run(*command(Path("s3://bucket/out.html")), check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot write to s3://: outputs are files of this machine" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("url", ["gs://b/x.npy", "https://ann:secret@h/x.npy", "ftp://h/x.npy"])
def test_no_function_writes_to_a_url(url: str, tmp_path: Path) -> None:
    told = f"cannot write to {url[: url.index('//')]}//: outputs are files of this machine"
    with Collection(tmp_path / "collection", Settings(model="fake", device="cpu")) as library:
        for use in (
            library.export,
            library.export_vectors,
            lambda path: library.cut([], to=path),
            lambda path: check_save(Path(path)),
            lambda path: write_output(Path(path), [b"x"]),
        ):
            with pytest.raises(UsageError, match=told) as refused:
                use(url)
            assert "secret" not in str(refused.value)
    assert not Path(url.partition("/")[0]).exists()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("force", [False, True])
def test_a_model_replaces_nothing_else(
    run: Run, qrels: Path, tmp_path: Path, target: str, force: bool
) -> None:
    assert_left_alone(
        run, lambda out: ["train", "--pairs", qrels, "--out", out], tmp_path, target, force
    )


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors", "vocabulary.txt"])
@pytest.mark.parametrize("kind", TARGETS)
def test_no_file_of_a_model_replaces_another(tmp_path: Path, name: str, kind: str) -> None:
    """A folder with a `manifest.json` of somebody else, say of a web page."""
    make, _ = TARGETS[kind]
    make(tmp_path / name)
    with pytest.raises(UsageError):
        check_save(tmp_path)
    if kind == "a file":
        check_save(tmp_path, force=True)
    else:
        with pytest.raises(UsageError):
            check_save(tmp_path, force=True)


def assert_left_alone(run: Run, command: Command, tmp_path: Path, target: str, force: bool) -> None:
    place = tmp_path / "mine"
    (place / "sub").mkdir(parents=True)
    photo = place / "photo.jpg"
    photo.write_bytes(b"a photo")
    make, words = TARGETS[target]
    make(place / "out")
    arguments = command(place / "out")
    before = seen(place)
    done = run(*arguments, *(["--force"] if force else []), check=False)
    assert done.returncode == 2, done.stderr
    assert any(word in done.stderr for word in words.split("|")), done.stderr
    assert done.stderr.count("\n") == 1
    assert seen(place) == before


def seen(place: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below a folder, with its kind, identity and content."""
    return {
        str(path.relative_to(place)): (
            (found := path.lstat()).st_mode,
            found.st_ino,
            path.read_bytes() if stat.S_ISREG(found.st_mode) else b"",
        )
        for path in place.rglob("*")
    }


def test_force_replaces_a_file_whole(run: Run, command: Command, tmp_path: Path) -> None:
    out, linked = tmp_path / "out", tmp_path / "another name"
    out.write_bytes(b"a photo")
    linked.hardlink_to(out)
    run(*command(out), "--force")
    assert out.read_bytes() != b"a photo"
    assert linked.read_bytes() == b"a photo"  # written beside and moved, not written into
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_is_missing_is_not_made(run: Run, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "missing" / "out"
    done = run(*command(out), check=False)
    assert (done.returncode, "there is no folder" in done.stderr) == (2, True)
    assert not out.parent.exists()


def test_a_device_is_refused(run: Run, indexed: Path) -> None:
    for device in ("/dev/null", "/dev/full"):
        done = run("search", "red", "--sheet", device, "--force", check=False)
        assert (done.returncode, "is a device or a pipe" in done.stderr) == (2, True)


@pytest.mark.parametrize("force", [False, True])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, force: bool) -> None:
    out = tmp_path / "out"
    if force:
        out.write_bytes(b"a photo")

    def parts() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFullError, match="the disk is full"):
        write_output(out, parts(), force=force)
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if force else [])
    assert not force or out.read_bytes() == b"a photo"


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("appears", TARGETS)
def test_what_appears_while_a_file_is_written_stays(
    tmp_path: Path, appears: str, links: bool
) -> None:
    """Also between the last check and the move, and on file systems without hard links."""
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    (tmp_path / "sub").mkdir()
    out = tmp_path / "out"
    make, _ = TARGETS[appears]
    link = os.link

    def late(source: Path, target: Path) -> None:
        make(out)
        if not links:
            raise OSError(errno.EPERM, "Operation not permitted")
        link(source, target)

    with (
        pytest.raises((UsageError, FileExistsError)),
        mock.patch.object(os, "link", late),
        output_file(out) as partial,
    ):
        partial.write_bytes(b"ours")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"photo.jpg", "sub", "out"}
    assert (tmp_path / "photo.jpg").read_bytes() == b"a photo"
    assert out.is_symlink() or not out.is_file() or out.read_bytes() == b"a photo"


def test_a_link_that_appears_is_not_followed_with_force(tmp_path: Path) -> None:
    photo, out = tmp_path / "photo.jpg", tmp_path / "out"
    photo.write_bytes(b"a photo")
    with pytest.raises(UsageError, match="is a link"), output_file(out, force=True) as partial:
        partial.write_bytes(b"ours")
        out.symlink_to(photo)
    assert photo.read_bytes() == b"a photo"


def test_without_hard_links_a_new_file_is_written(tmp_path: Path) -> None:
    refused = mock.Mock(side_effect=OSError(errno.EPERM, "Operation not permitted"))
    with mock.patch.object(os, "link", refused):
        write_output(tmp_path / "out", [b"ours"])
    assert (tmp_path / "out").read_bytes() == b"ours"
    assert refused.called


def test_an_export_is_for_its_owner_alone(run: Run, indexed: Path, tmp_path: Path) -> None:
    run("export", tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600
    run("search", "red")
    (kept,) = run.state.rglob("last-search-*")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_last_search_is_not_written_through_a_link(
    run: Run, indexed: Path, tmp_path: Path
) -> None:
    run("search", "red")
    (kept,) = run.state.rglob("last-search-*")
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")
    kept.unlink()
    kept.symlink_to(photo)
    run("search", "blue")
    assert photo.read_bytes() == b"a photo"
    assert not kept.is_symlink()


def test_a_benchmark_replaces_no_file_of_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record, "SCRATCH", tmp_path / "scratch")
    mine = tmp_path / "speed.json"
    mine.write_text("mine")
    path = record.keep("speed", {"seed": 1}, options("--results", str(tmp_path)))
    assert (path, mine.read_text()) == (tmp_path / "scratch" / "speed.json", "mine")
    assert "already exists" in capsys.readouterr().out
    forced = options("--results", str(tmp_path), "--force")
    assert record.keep("speed", {"seed": 2}, forced) == mine
    assert record.keep("speed", {"seed": 3}, options("--results", str(tmp_path))) == mine
    assert json.loads(mine.read_text())["seed"] == 3


def test_an_item_is_shown_by_the_id_that_it_was_given(run: Run, tmp_path: Path) -> None:
    """Wherever a hit is shown; JSON keeps the path, and has the id beside it."""
    name = "shop/50% off/a 1"
    out = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(out, "PNG")
    with Collection(run.collection, Settings(model="fake")) as library:
        library.add(texts=["an engine", "an engine"], ids=[name, ".."])
        library.add(images=[out.getvalue()], ids=["x/y"])
        (hit, *_) = library.search("engine", k=1, modalities="text")
    for arguments in (
        ("search", "engine", "--in", "text", "--explain"),
        ("search", "--like", hit.address, "--explain"),
        ("show", hit.address),
        ("typical",),
    ):
        told = run(*arguments)
        assert f"item {name}" in told.stdout, told
        assert "%2F" not in told.stdout + told.stderr
    sheet = tmp_path / "sheet.html"
    found = json.loads(run("search", "engine", "--sheet", sheet, "--json").stdout)
    assert {one["id"] for one in found} == {name, "..", "x/y"}
    assert all(one["path"].startswith("items:/") for one in found)
    page = sheet.read_text("utf-8")
    assert "item shop/<wbr>50% off/<wbr>a 1" in page
    assert "item .." in page
    assert "%2F" not in page
    assert "items:/" not in page
    opened = run("search", "engine", "--in", "text", "--open", check=False)
    assert opened.returncode == 1
    assert "it was added from memory and has no file" in opened.stderr


def test_the_report_of_an_index_run_tells_its_notes_in_json(run: Run, folder: Path) -> None:
    (folder / ".seehearignore").write_text("[a\n")
    done = run("index", folder, "--json")
    (note,) = json.loads(done.stdout)["notes"]
    assert ".seehearignore" in note
    (folder / ".seehearignore").unlink()
    assert json.loads(run("index", folder, "--json").stdout)["notes"] == []
