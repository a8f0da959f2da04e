"""The wheel, installed as a stranger would: an empty environment, outside the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("held", [True, False], ids=["the locked versions", "the newest versions"])
def test_the_wheel_indexes_a_folder_and_finds_what_is_in_it(
    media: Path, tmp_path: Path, held: bool
) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None
    dist = ["--python", sys.executable, "--no-build-isolation", "--out-dir", str(tmp_path / "dist")]
    subprocess.run([uv, "build", "--quiet", *dist, str(ROOT)], check=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (source,) = (tmp_path / "dist").glob("*.tar.gz")
    assert source.stat().st_size > 10_000_000  # the weights of tiny are in it
    environment = tmp_path / "environment"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    lock = ["--constraint", str(ROOT / "requirements.lock")] if held else []
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", str(environment), *lock, str(wheel)],
        check=True,
    )

    def seehear(*arguments: str) -> str:
        done = subprocess.run(
            [environment / "bin" / "seehear", *arguments],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "SEEHEAR_COLLECTION": str(tmp_path / "collection"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    (media / "tone.wav").unlink()
    report = json.loads(seehear("index", str(media), "--json"))
    assert (report["added"], report["failed"]) == (2, 0)
    for words, name in (("quiet harbour", "note.txt"), ("a red surface", "red.jpg")):
        kind = "text" if name.endswith(".txt") else "image"
        (hit,) = json.loads(seehear("search", words, "-k", "1", "--in", kind, "--json"))
        assert Path(hit["path"]).name == name
