from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seehear.collection import Collection
from seehear.config import Settings
from tests.server.media_files import make_media
from tests.sources.servers import S3Server

SETTINGS = Settings(model="fake", device="cpu", decode_workers=1)

pytest.importorskip("s3fs", reason="the extra remote is not installed")
pytest.importorskip("moto", reason="moto is not installed")


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_media(tmp_path_factory.mktemp("lying") / "media")


@pytest.fixture(scope="session")
def _s3() -> Iterator[S3Server]:
    with pytest.MonkeyPatch.context() as patch:
        server = S3Server()
        patch.setenv("AWS_ENDPOINT_URL", server.address)
        patch.setenv("AWS_ACCESS_KEY_ID", "a-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield server
        server.close()


@pytest.fixture
def s3(_s3: S3Server) -> Iterator[S3Server]:
    _s3.reset()
    yield _s3
    _s3.reset()


@pytest.fixture(scope="session")
def bucket_files(_s3: S3Server) -> Any:
    """The file system of S3, as other programs use it."""
    import s3fs

    return s3fs.S3FileSystem(use_listings_cache=False)


_BUCKETS = iter(range(1000))


@pytest.fixture
def bucket(s3: S3Server, bucket_files: Any, media_folder: Path) -> str:
    """A bucket with the media in a folder `lying`."""
    name = f"bucket-{next(_BUCKETS)}"
    bucket_files.call_s3("create_bucket", Bucket=name)
    for file in sorted(media_folder.rglob("*.*")):
        bucket_files.pipe_file(f"{name}/lying/{file.relative_to(media_folder)}", file.read_bytes())
    s3.requests.clear()
    return name


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Collection]:
    with Collection(tmp_path / "collection", SETTINGS) as collection:
        yield collection
