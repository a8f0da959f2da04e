"""Roots beyond this machine: listed, read, followed as they change, and never taken for deleted."""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from seehear.cli.commands_index import status
from seehear.cli.options import open_collection
from seehear.cli.query_options import collect_parts
from seehear.collection import Collection
from seehear.diagnostics import Level
from seehear.diagnostics.places import collection_rows
from seehear.errors import EnvironmentFaultError, UsageError
from seehear.sources import SourceError, path_of, remote
from seehear.stores.archive_rules import PATH
from tests.server.media_files import picture
from tests.sources.conftest import SETTINGS
from tests.sources.servers import S3Server, http_listing

FILES = 11


def test_a_bucket_is_indexed_searched_and_followed(
    bucket: str, bucket_files: Any, library: Collection, s3: S3Server, tmp_path: Path
) -> None:
    root = f"s3://{bucket}/lying"
    report = library.index(root)
    assert (report.added, report.failed, report.offline) == (FILES, 0, ())
    assert s3.contents_read() == FILES  # each once

    hit = library.search("a red rose", k=1)[0]
    assert str(hit.path).startswith(root)
    assert hit.to_dict()["path"] == str(hit.path)
    assert [str(one.path) for one in library.roots()] == [root]
    assert len(library.search("red", k=50, under=f"{root}/photos/2024")) == 2
    assert len(library.search("red", k=50, where=f'folder = "{root}/photos"')) == 5
    assert library.search("red", under=Path(root))[0].path.name == "rose.png"

    s3.requests.clear()
    report = library.index(root)
    assert (report.unchanged, s3.contents_read()) == (FILES, 0)
    like = library.similar(hit.path, k=3)
    assert hit.asset_id not in {one.asset_id for one in like}
    near = library.search(image=str(hit.path), k=3, modalities="image")
    assert near[0].path == hit.path  # a red siren is as near, but a sound
    with pytest.raises(UsageError, match="is not in the collection: index it"):
        library.similar(f"{root}/photos/none.png")
    with pytest.raises(UsageError, match=f"{root}/none is not in the collection"):
        library.forget(Path(f"{root}/none"))
    with pytest.raises(UsageError, match=f"{root}/sounds/no.wav is not on this machine"):
        library.hear(f"{root}/sounds/no.wav")
    for under, where in ((f"{root}/photo", ""), (None, f'folder = "{root}/photo"')):
        with pytest.raises(UsageError, match=f"Did you mean {root}/photos"):
            library.search("red", under=under, where=where)
    typed = [Path(str(hit.path))]  # as Typer makes one: with a single slash
    given = collect_parts(None, None, typed, None, None, None, typed, None)
    assert [given[kind] for kind in ("image", "not_image")] == [[str(hit.path)]] * 2
    assert s3.contents_read() == 0

    bucket_files.mv(f"{bucket}/lying/photos/rose.png", f"{bucket}/lying/roses/first.png")
    bucket_files.rm(f"{bucket}/lying/photos/sky.png")
    red = picture(tmp_path / "new.png", "green", size_px=(160, 121)).read_bytes()
    bucket_files.pipe_file(f"{bucket}/lying/photos/2024/flag.png", red)
    s3.requests.clear()
    report = library.index(root)
    assert (report.moved, report.removed, report.updated) == (1, 1, 1)
    assert (report.encoded, report.unchanged) == (1, FILES - 3)
    assert s3.contents_read() == 2

    # The same content again changes the time and not the etag: nothing is read.
    time.sleep(1.1)
    bucket_files.pipe_file(f"{bucket}/lying/photos/2024/flag.png", red)
    s3.requests.clear()
    assert library.index(root).unchanged == FILES - 1
    assert s3.contents_read() == 0


def test_an_export_keeps_what_lies_in_a_bucket(
    bucket: str, library: Collection, tmp_path: Path, s3: S3Server
) -> None:
    root = f"s3://{bucket}/lying"
    library.index(root)
    library.export(tmp_path / "archive.zip")
    with Collection(tmp_path / "other", SETTINGS) as other:
        other.import_archive(tmp_path / "archive.zip")
        s3.requests.clear()
        report = other.index(root)
        assert (report.unchanged, report.encoded, s3.contents_read()) == (FILES, 0, 0)
        assert {str(one.path) for one in other.files()} == {
            str(one.path) for one in library.files()
        }


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (b"s3://bucket/photos/a.jpg", True),
        (b"https://host/a b", True),
        (b"/photos/a.jpg", True),
        (b"s3://bucket//a.jpg", False),
        (b"s3://bucket/../a.jpg", False),
        (b"s3:/bucket/a.jpg", False),
        (b"//photos/a.jpg", False),
    ],
)
def test_an_archive_holds_paths_and_urls_as_they_are_kept(path: bytes, kept: bool) -> None:
    assert PATH.fits(path) == kept


def test_a_bucket_around_a_root_is_a_root_of_its_own(bucket: str, library: Collection) -> None:
    assert library.index(f"s3://{bucket}/lying/notes").added == 2
    report = library.index(f"s3://{bucket}")
    assert (report.added, report.unchanged, report.removed) == (FILES - 2, 2, 0)
    assert library.forget(f"s3://{bucket}/lying/notes") == 2
    assert {one.path.parent.name for one in library.files()} == {
        "photos", "2024", "sounds", "clips",
    }  # fmt: skip


def test_the_extra_that_is_missing_is_named(
    library: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_file_system", remote._file_system.__wrapped__)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(EnvironmentFaultError, match=r"pip install 'seehear\[remote\]'"):
        library.index("s3://bucket/x")


@pytest.mark.parametrize(
    ("url", "module", "advice"),
    [
        ("s3://bucket/x", "s3fs", "pip install 'seehear[remote]'"),
        ("https://host/x", "aiohttp", "pip install 'seehear[remote]'"),
        ("memory://x", "fsspec", "pip install 'seehear[remote]'"),
        ("gs://bucket/x", "gcsfs", "pip install gcsfs"),
        ("sftp://host/x", "paramiko", "pip install paramiko"),
    ],
)
def test_a_root_whose_library_is_missing_is_not_offline(
    library: Collection, monkeypatch: pytest.MonkeyPatch, url: str, module: str, advice: str
) -> None:
    library._catalog.locations.set_online(
        library._catalog.locations.add_root(path_of(url)).id, False
    )
    monkeypatch.setattr(remote, "_file_system", remote._file_system.__wrapped__)
    monkeypatch.setitem(sys.modules, module, None)
    for use in (lambda: library.verify(hashes=True), lambda: library.index(url)):
        with pytest.raises(EnvironmentFaultError, match=f"needs the library {module}") as raised:
            use()
        assert advice in str(raised.value)
    (row,) = [one for one in collection_rows(library.folder, SETTINGS) if one.topic == "folder"]
    assert (row.level, advice in row.remedy) == (Level.WARNING, True)
    assert row.found == f"{url} needs the library {module}, which is missing"


def test_status_marks_a_root_whose_server_does_not_answer(
    bucket: str, library: Collection, s3: S3Server, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    here, root = picture(tmp_path / "here" / "a.png", "red").parent, f"s3://{bucket}/lying/notes"
    library.index(root, here)

    def folders() -> list[str]:
        status(library.folder)
        lines = capsys.readouterr().out.splitlines()
        return [line.removeprefix("folder").strip() for line in lines if line.startswith("folder")]

    assert folders() == [root, str(here)]
    s3.refuse = lambda method, path: (503, "SlowDown")
    here.rename(tmp_path / "away")
    there, gone = folders()
    assert there.startswith(f"{root} (offline: cannot be reached")
    assert gone == f"{here} (offline)"
    status(library.folder, json=True)
    assert [one["online"] for one in json.loads(capsys.readouterr().out)["roots"]] == [False, False]
    monkeypatch.setattr(remote, "_file_system", remote._file_system.__wrapped__)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert "(not read: s3:// needs the library s3fs" in folders()[0]


def test_what_is_not_below_a_known_root_is_named(bucket: str, library: Collection) -> None:
    root = f"s3://{bucket}/lying"
    library.index(root)
    with pytest.raises(UsageError, match=f"{root}/photo: there is nothing at this URL"):
        library.index(f"{root}/photo")
    assert library.index(f"{root}/photos").unchanged == 5


def test_no_collection_is_made_at_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in (path_of("s3://bucket/collection"), Path("s3://bucket/collection")):
        with pytest.raises(UsageError, match="s3://bucket/collection cannot be kept there"):
            open_collection(url, must_exist=False)
    with pytest.raises(UsageError, match="cannot be kept there"):
        Collection(path_of("s3://bucket/collection"))
    monkeypatch.setenv("SEEHEAR_COLLECTION", "s3://bucket/collection")
    with pytest.raises(UsageError, match="cannot be kept there"):
        open_collection(None, must_exist=False)
    assert not [*tmp_path.iterdir()]


def test_a_bucket_is_not_watched(library: Collection) -> None:
    with pytest.raises(UsageError, match="run `seehear index` again"):
        library.watch("s3://bucket/x")


def test_hidden_and_ignored_names_are_left_out(
    bucket: str, bucket_files: Any, library: Collection
) -> None:
    for name, content in {
        ".seehearignore": b"sounds/\n*.md\n",
        ".hidden/a.txt": b"no",
        "photos/.seehearignore": b"sky.png\n",
        "photos/Thumbs.db": b"no",
        "a//b.txt": b"no path has this name",
        "notes/": b"",
    }.items():
        bucket_files.call_s3("put_object", Bucket=bucket, Key=f"lying/{name}", Body=content)
    report = library.index(f"s3://{bucket}/lying", exclude=["clips/"])
    assert {one.path.name for one in library.files()} == {
        "rose.png", "meadow.png", "flag.png", "café — été.png", "page.html",
    }  # fmt: skip
    assert (report.added, report.failed, report.notes) == (5, 0, ())
    part = library.index(f"s3://{bucket}/lying/photos")
    assert (part.unchanged, part.added, part.removed) == (4, 0, 0)


def test_nothing_is_deleted_when_a_bucket_gives_nothing(
    bucket: str, bucket_files: Any, library: Collection, s3: S3Server
) -> None:
    root = f"s3://{bucket}/lying"
    library.index(f"{root}/photos")
    known = 5

    def reasons() -> list[str]:
        report = library.index(f"{root}/photos")
        assert (report.removed, report.failed) == (0, 0)
        assert len(library.files()) == known
        assert not any("\n" in one.reason or "secret words" in one.reason for one in report.offline)
        return [one.reason for one in report.offline]

    s3.refuse = lambda method, path: (403, "AccessDenied")
    assert "access is denied: check the credentials" in reasons()[0]
    assert not library.roots()[0].online
    s3.refuse = lambda method, path: (403, "SignatureDoesNotMatch") if "list-type" in path else None
    assert "the key or its secret is wrong" in reasons()[0]
    # The listing of one folder stops: what is in it is unknown, the rest is as ever.
    s3.refuse = lambda method, path: (500, "InternalError") if "2024%2F&" in path else None
    report = library.index(f"{root}/photos")
    assert (report.removed, report.unchanged) == (0, 3)
    assert "2024: cannot be listed" in report.notes[0]
    s3.refuse = lambda method, path: (404, "NoSuchBucket")
    assert "forget" in reasons()[0]
    s3.reset()
    for name in bucket_files.find(f"{bucket}/lying"):
        bucket_files.rm(name)
    assert "nothing is listed there any more" in reasons()[0]


def test_a_bucket_that_may_be_listed_only_is_no_fault_of_its_files(
    bucket: str, bucket_files: Any, library: Collection, s3: S3Server, tmp_path: Path
) -> None:
    root = f"s3://{bucket}/lying/photos"
    s3.refuse = lambda method, path: (
        (403, "AccessDenied") if method == "GET" and "list-type" not in path else None
    )
    report = library.index(root)
    assert (report.added, report.failed) == (0, 0)
    assert "listed but not read" in report.offline[0].reason
    assert not library.files()
    # One that is denied among others is told as a fault of its own, and tried again.
    s3.refuse = lambda method, path: (
        (403, "AccessDenied") if method == "GET" and "/rose.png" in path else None
    )
    report = library.index(root)
    assert (report.added, report.failed, report.offline) == (4, 1, ())
    assert "access is denied" in report.failures[0].reason
    s3.reset()
    assert library.index(root).added == 1
    # It goes away between listing and reading: what was renamed is not taken for gone.
    bucket_files.mv(f"{bucket}/lying/photos/rose.png", f"{bucket}/lying/photos/r.png")
    s3.refuse = lambda method, path: (503, "Broken") if "/r.png" in path else None
    report = library.index(root)
    assert (report.removed, report.failed, len(report.offline)) == (0, 0, 1)
    s3.reset()
    report = library.index(root)
    assert (report.moved, report.encoded) == (1, 0)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://no-such-bucket-here/x", "there is nothing at this URL; check its name"),
        ("s3://{bucket}/lyng", "there is nothing at this URL; check its name"),
        ("http://127.0.0.1:9/x", "cannot be reached"),
        ("http://no-such-host.invalid/x", "cannot be reached"),
        ("memory://none", "there is nothing at this URL"),
        ("gs://bucket/x", "gs:// needs the library gcsfs, which is not installed; install it: pip"),
    ],
)
def test_a_root_that_is_not_there_is_told_in_one_line(
    bucket: str, library: Collection, url: str, told: str
) -> None:
    with pytest.raises(Exception, match=told) as refused:
        library.index(url.format(bucket=bucket))
    assert "\n" not in str(refused.value)
    assert not library.roots()


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AWS_ENDPOINT_URL", "nonsense", "Invalid endpoint: nonsense"),
        ("AWS_ENDPOINT_URL", "http://ann:secret@", "Invalid endpoint: http://"),
        ("AWS_PROFILE", "nobody", "The config profile (nobody) could not be found"),
        ("AWS_CONFIG_FILE", "{tmp_path}/config", "Unable to parse config file: {tmp_path}/config"),
        ("AWS_DEFAULT_REGION", "no region", "'no region' doesn't match a supported format"),
        ("AWS_RETRY_MODE", "odd", 'Invalid value provided to "mode": "odd"'),
        ("FSSPEC_S3_NOSUCH", "1", "unexpected keyword argument 'nosuch'"),
    ],
)
def test_a_setting_that_is_wrong_is_told(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str,
    told: str,
) -> None:  # fmt: skip
    import fsspec.config
    import s3fs

    (tmp_path / "config").write_text("[default\nregion = x\n")
    monkeypatch.setenv(variable, value.format(tmp_path=tmp_path))
    monkeypatch.setattr(fsspec.config, "conf", {})
    fsspec.config.set_conf_env(fsspec.config.conf)  # what it does when it is loaded
    monkeypatch.setattr(remote, "_file_system", remote._file_system.__wrapped__)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(SourceError) as refused:
            remote.find_root("s3://bucket/x")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
    assert "a setting is wrong (" in str(refused.value)
    assert told.format(tmp_path=tmp_path) in str(refused.value)
    assert str(refused.value).endswith("; correct it in the environment or in ~/.aws")
    assert "secret" not in str(refused.value)
    assert not s3.requests


def test_a_server_that_never_answers_is_waited_for_shortly(
    library: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "READ_S", 0.2)
    monkeypatch.setattr(remote, "_file_system", remote._file_system.__wrapped__)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(UsageError, match="does not answer"):
            library.index(url)


def test_a_listing_over_http(library: Collection, media_folder: Path) -> None:
    with http_listing(media_folder) as address:
        report = library.index(address)
        assert (report.added, report.failed) == (FILES, 0)
        names = {one.path.name for one in library.files()}
        assert "café — été.png" in names
        assert library.index(address).unchanged == FILES
        hit = library.search("red", k=50, where='type = "video"')[0]
        assert (
            library.stored_file(hit.asset_id).open().read()
            == (media_folder / "clips" / hit.path.name).read_bytes()
        )
    report = library.index(address)
    assert (len(report.offline), report.removed) == (1, 0)
