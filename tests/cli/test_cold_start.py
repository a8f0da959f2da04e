"""Test what a search by words loads: every module counts when a command starts from nothing, and so
does every thread that waits for work by spinning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seehear.collection import Collection
from seehear.config import Settings

NOT_LOADED = {
    *("torch", "faiss", "transformers", "open_clip", "torchaudio", "torchvision"),
    *("alembic", "filelock", "lark", "PIL", "av", "rawpy", "pillow_heif", "pypdf"),
    *("pypdfium2", "pypdfium2_raw"),
    *("scipy", "pandas", "sklearn", "rich", "fastapi", "watchfiles", "numpy.ma"),
    *("pydantic", "statistics", "numpy.random", "numpy.fft", "seehear.encoders.bridge"),
}


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few notes under the bundled model, indexed as `seehear index` does."""
    folder = tmp_path_factory.mktemp("cold")
    (folder / "notes").mkdir()
    for name, text in (("a", "A boat lies at the pier."), ("b", "The dog sleeps by the fire.")):
        (folder / "notes" / f"{name}.md").write_text(text)
    with Collection(folder / "collection", Settings(model="tiny", device="cpu")) as collection:
        collection.index(folder / "notes")
        collection.search("a ship")  # leaves the index's cache file
    return folder / "collection"


@pytest.mark.parametrize("output", [["--json"], []], ids=["json", "table"])
def test_a_search_by_words_loads_what_it_needs(
    collection: Path, tmp_path: Path, output: list[str]
) -> None:
    arguments = ["seehear", "search", "a ship in the harbour", "--collection", str(collection)]
    code = (
        "import gc, sys\n"
        f"sys.argv = {[*arguments, *output]!r}\n"
        "from seehear.cli import main\n"
        "main()\n"
        "import os, pathlib\n"
        "tasks = pathlib.Path('/proc/self/task')\n"
        "print('threads:', len(list(tasks.iterdir())) if tasks.is_dir() else 1)\n"
        "print('collector:', gc.isenabled(), gc.get_stats()[0]['collections'])\n"
        "print('loaded:', *sys.modules)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code.replace("main()\n", "try: main()\nexcept SystemExit: pass\n")],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "XDG_STATE_HOME": str(tmp_path)},
    )
    answer, _, loaded = done.stdout.partition("loaded: ")
    assert answer.index("a.md") < answer.index("b.md")
    modules = set(loaded.split())
    assert "sqlalchemy" in modules
    rich = {"rich"} if not output else set()  # the table is Rich's
    assert modules & NOT_LOADED - rich == set()
    assert "threads: 1\n" in answer
    collector = answer.partition("collector: ")[2].split()
    assert collector[0] == "True"  # at work again
    assert int(collector[1]) < 80  # times; 150 where it was not left out
