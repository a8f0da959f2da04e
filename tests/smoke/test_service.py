"""The command line indexes, and the service that it starts answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

COMMAND = [sys.executable, "-m", "seehear"]
LONGEST_S = 120


def test_a_search_over_http_finds_what_was_indexed(media: Path, tmp_path: Path) -> None:
    collection = str(tmp_path / "collection")
    environment = {**os.environ, "SEEHEAR_COLLECTION": collection, "SEEHEAR_TOKEN": ""}
    indexed = subprocess.run(
        [*COMMAND, "index", str(media), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=True,
    )
    report = json.loads(indexed.stdout)
    assert (report["added"], report["failed"]) == (3, 0)
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stderr is not None
            line = next(line for line in service.stderr if "http://" in line)
            address = "http://" + line.partition("http://")[2].split()[0].rstrip("/.")
            _wait_until_ready(address)
            query = json.dumps({"text": "quiet harbour", "k": 1}).encode()
            found = _get(f"{address}/v1/search", query)
        finally:
            service.terminate()
    assert [hit["name"] for hit in json.loads(found)["hits"]] == ["note.txt"]


def _wait_until_ready(address: str) -> None:
    end_s = time.monotonic() + LONGEST_S
    while True:
        try:
            _get(f"{address}/readyz")
        except OSError:  # it does not listen yet, or loads its model
            if time.monotonic() > end_s:
                raise
            time.sleep(0.2)
        else:
            return


def _get(address: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=LONGEST_S) as response:
        content: bytes = response.read()
    return content
