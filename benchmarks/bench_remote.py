"""Time index runs over a bucket of S3 beside the same files in a folder.

    python -m benchmarks.bench_remote

200 small pictures and the model `fake`, so that reading is what takes time. The server is moto's, a
process of this machine, which waits before it answers each request as a distant one does. Each
source is indexed into a new collection, then again with nothing new. Needs the extra `remote`, and
moto with its server. Seconds of the clock: on a busy machine compare them with each other alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from benchmarks import record
from seehear.collection import Collection
from seehear.config import Settings
from seehear.sources import ahead

SETTINGS = Settings(model="fake", device="cpu", decode_workers=1)
_SERVER = """
import sys, time
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
moto = DomainDispatcherApplication(create_backend_app)
delay_s = float(sys.argv[1])
def answer(environ, start):
    time.sleep(delay_s)
    return moto(environ, start)
server = make_server("127.0.0.1", 0, answer, threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


@contextmanager
def bucket(folder: Path, delay_s: float) -> Iterator[str]:
    """Serve the files of a folder as a bucket; yield its URL."""
    served = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(delay_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert served.stdout is not None
    try:
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{served.stdout.readline().strip()}"
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        files = s3fs.S3FileSystem(use_listings_cache=False)
        files.call_s3("create_bucket", Bucket="pictures")
        files.put(f"{folder}/", "pictures/all/", recursive=True)
        s3fs.S3FileSystem.clear_instance_cache()
        yield "s3://pictures/all"
    finally:
        served.kill()
        served.wait()
        served.stdout.close()


def timed(path: str | Path, scratch: Path) -> dict[str, float]:
    """Return the seconds of a first run and of one that finds nothing new."""
    from seehear.sources import remote

    remote._file_system.cache_clear()
    seconds = []
    with Collection(scratch / "collection", SETTINGS) as collection:
        for _ in range(2):
            begun = time.perf_counter()
            report = collection.index(path)
            assert not [*report.failures, *report.offline]
            seconds.append(round(time.perf_counter() - begun, 2))
    return {"first s": seconds[0], "again s": seconds[1]}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--delay-ms", type=float, default=30.0, help="of each request")
    record.add_options(parser)
    chosen = parser.parse_args(arguments)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    rows: list[dict[str, Any]] = []

    def note(name: str, times: dict[str, float]) -> None:
        rows.append({"source": name, **times})
        print(rows[-1], flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        folder.mkdir()
        drawn = np.random.default_rng(0)
        for number in range(chosen.files):
            small = drawn.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(small).resize((128, 128)).save(folder / f"{number:04}.jpg")
        note("folder", timed(folder, Path(scratch) / "a"))
        with bucket(folder, 0.0) as url:
            note("S3", timed(url, Path(scratch) / "b"))
        with bucket(folder, chosen.delay_ms / 1000) as url:
            note(f"S3, {chosen.delay_ms:g} ms", timed(url, Path(scratch) / "c"))
            with mock.patch.object(ahead, "AT_ONCE", 1):
                note(f"S3, {chosen.delay_ms:g} ms, one by one", timed(url, Path(scratch) / "d"))
    record.keep("remote", {"files": chosen.files, "rows": rows}, chosen)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
