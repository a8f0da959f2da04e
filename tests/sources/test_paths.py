"""A URL stays a URL wherever a path goes, and holds no password."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from seehear.errors import UsageError
from seehear.sources import RemotePath, is_remote, path_of, stored_path

URLS = [
    "s3://bucket",
    "s3://bucket/photos/2024/a b.jpg",
    "gs://bucket/x",
    "az://container/x",
    "sftp://ann@host/home/ann/photos",
    "smb://host/share/x",
    "http://127.0.0.1:8000/media/a.png",
    "https://host/x#1.jpg".replace("#", "-"),
    "memory://a/b",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_shown_as_it_was_given(url: str) -> None:
    for given in (url, Path(url), RemotePath(url), url + "/"):
        path = path_of(given)
        assert isinstance(path, RemotePath)
        assert str(path) == url
        assert stored_path(str(path).encode()) == path
        assert path.absolute() == path == path.expanduser()
        assert path.is_absolute()
        assert str(pickle.loads(pickle.dumps(path))) == url
        assert hash(path) == hash(stored_path(url))
        assert is_remote(path)
        assert is_remote(str(path))


def test_parts_of_a_url_are_those_of_a_path() -> None:
    path = path_of("s3://bucket/photos/a.jpg")
    assert (path.name, path.suffix, path.stem) == ("a.jpg", ".jpg", "a")
    assert str(path.parent) == "s3://bucket/photos"
    assert str(path.parent / "b" / "c.png") == "s3://bucket/photos/b/c.png"
    assert str(path.with_suffix(".xmp")) == "s3://bucket/photos/a.xmp"
    assert path.relative_to(path.parent.parent).parts == ("photos", "a.jpg")
    assert path.is_relative_to(path_of("s3://bucket"))
    assert not path.is_relative_to(path_of("s3://buck"))
    with pytest.raises(ValueError, match=r"is not in the subpath|is not relative"):
        path.relative_to(Path.cwd())


@pytest.mark.parametrize("local", ["/a/b", "a/b", "s3", "s3:", "a:b/c", "C:/x", "~/x", "/s3://x"])
def test_a_path_of_this_machine_stays_one(local: str) -> None:
    assert not is_remote(path_of(local))
    assert path_of(local) == Path(local) == stored_path(local)


def test_a_url_of_this_machine_is_its_path() -> None:
    assert path_of("file:///home/ann/My%20Photos") == Path("/home/ann/My Photos")
    assert path_of(Path("file:///home/ann")) == Path("/home/ann")


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hunter2@bucket/x",
        "https://ann:hunter2@host/x",
        "sftp://ann:hunter2@host/x",
        "s3:/key:hunter2@bucket",
    ],
)
def test_a_password_in_a_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="password") as refused:
        path_of(url)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "hdfs:/host/x",
        "s3a://bucket/x",
        "https://host/x?sig=hunter2",
        "s3://bucket/../x",
    ],
)
def test_other_urls_are_refused_in_one_line(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        path_of(url)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)
