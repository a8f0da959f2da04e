"""requirements.lock holds every installation to one set of versions and hashes."""

from __future__ import annotations

import itertools
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
PLATFORMS = {
    "Linux x86-64": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "Linux arm64": {"sys_platform": "linux", "platform_machine": "aarch64"},
    "macOS arm64": {"sys_platform": "darwin", "platform_machine": "arm64"},
}
ENVIRONMENTS = [
    pytest.param(
        {**platform, "python_version": python, "python_full_version": f"{python}.0", "extra": ""},
        id=f"{name}, {python}",
    )
    for (name, platform), python in itertools.product(PLATFORMS.items(), ("3.11", "3.12", "3.13"))
]


def entries(lock: str = LOCK) -> Iterator[tuple[Requirement, list[str]]]:
    """What a lock pins, with the hashes of each."""
    for entry in re.split(r"^(?=[a-zA-Z0-9])", lock, flags=re.MULTILINE)[1:]:
        named, *rest = entry.split(" \\\n")
        yield Requirement(named), [line.strip() for line in rest]


def wanted() -> list[Requirement]:
    """All that pyproject.toml asks for: itself, its extras, its groups, and what builds it."""
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *groups.values(),
        PROJECT["build-system"]["requires"],
    ]
    return [Requirement(line) for line in itertools.chain(*lists) if isinstance(line, str)]


def test_every_package_is_pinned_with_its_hashes() -> None:
    pinned = list(entries())
    assert len(pinned) > 100
    for requirement, hashes in pinned:
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", requirement
        assert hashes, requirement
        assert all(HASH.fullmatch(one) for one in hashes), requirement


def test_the_lock_names_no_package_index() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*-(?!-hash=)", LOCK, re.MULTILINE)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_lock_satisfies_pyproject(environment: dict[str, str]) -> None:
    pinned: dict[str, Version] = {}
    for requirement, _ in entries():
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in pinned, f"{name} is pinned twice"
            (specifier,) = requirement.specifier
            pinned[name] = Version(specifier.version)
    for requirement in wanted():
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is not in the lock: run `make lock`"
        assert requirement.specifier.contains(pinned[name], prereleases=True), (
            f"{name} {pinned[name]} does not fit {requirement}: run `make lock`"
        )


def test_what_an_environment_without_a_gpu_leaves_out_is_in_the_lock() -> None:
    """A name that PyTorch no longer asks for would exclude nothing."""
    locked = {canonicalize_name(requirement.name) for requirement, _ in entries()}
    lines = (ROOT / "requirements-cpu.excludes").read_text().splitlines()
    excluded = {line for line in lines if line and not line.startswith("#")}
    assert excluded
    assert excluded <= locked


def test_torch_and_its_companions_are_pinned_exactly() -> None:
    exact = {r.name for r in wanted() if [s.operator for s in r.specifier] == ["=="]}
    assert {"torch", "torchvision", "torchaudio"} <= exact


def edits_for_cpu() -> Iterator[tuple[str, str]]:
    """How an environment without a GPU is held to the lock, by the file that says so."""
    made = subprocess.run(
        ["make", "--always-make", "--dry-run", ".venv/constraints.txt", "CPU=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name, lines in (
        ("Makefile", made.stdout),
        ("Dockerfile", (ROOT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")),
    ):
        found = re.search(r"sed -e .*?requirements\.lock", lines)
        assert found, name
        yield name, found[0]


@pytest.mark.parametrize("command", [pytest.param(c, id=name) for name, c in edits_for_cpu()])
def test_an_environment_without_a_gpu_is_held_to_the_lock(command: str) -> None:
    """All but PyTorch's three, and FAISS for the processor on every platform."""
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    held = {str(requirement): hashes for requirement, hashes in entries(done.stdout)}
    whole = {str(requirement): hashes for requirement, hashes in entries()}
    (faiss,) = (one for one in whole if one.startswith("faiss-cpu=="))
    left_out = {one for one in whole if one.startswith("torch")}
    assert len(left_out) == 3
    assert held.pop(faiss.partition(";")[0].strip()) == whole.pop(faiss)
    assert held == {one: hashes for one, hashes in whole.items() if one not in left_out}
