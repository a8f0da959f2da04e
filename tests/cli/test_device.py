"""Where a command searches: on the processor unless a device is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import seehear
from seehear.cli.options import open_collection
from seehear.stores import Catalog, VectorCache
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        (None, None, ("auto", "cpu")),
        (None, "cuda", ("cuda", None)),
        ("cuda:1", None, ("cuda:1", None)),
        ("auto", "cuda", ("auto", "cpu")),
        ("cpu", None, ("cpu", None)),
    ],
)
def test_a_command_lays_no_index_on_a_card_unasked(
    option: str | None,
    environment: str | None,
    expected: tuple[str, str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SEEHEAR_DEVICE", raising=False)
    if environment is not None:
        monkeypatch.setenv("SEEHEAR_DEVICE", environment)
    with open_collection(tmp_path / "new", device=option, must_exist=False) as library:
        assert (library.settings.device, library.settings.search_device) == expected


@pytest.mark.usefixtures("indexed")
def test_a_library_lays_its_indexes_where_its_device_says(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[str] = []
    plain: Any = VectorCache.__init__

    def noting(self: VectorCache, folder: Path, catalog: Catalog, *rest: Any) -> None:
        devices.append(rest[1])
        plain(self, folder, catalog, *rest)

    monkeypatch.setattr(VectorCache, "__init__", noting)
    for device in ("auto", "cpu"):
        with seehear.open(run.collection, device=device) as library:
            library.search("red")
    assert devices == ["auto", "cpu"]
