"""A model folder keeps what was put in, and refuses what does not verify in one line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seehear.encoders.tiny import load_tiny
from seehear.encoders.tiny.checkpoint import (
    MANIFEST,
    VOCABULARY,
    WEIGHTS,
    open_folder,
    pack,
    save_folder,
    unpack,
)
from seehear.errors import ModelError, ModelIntegrityError, ModelUnavailableError
from seehear.hub import check_folder
from seehear.types import ImageSample, Modality
from tests.encoders.small_builtin import SMALL, VOCABULARY_OF_SMALL, small_arrays


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_folder(tmp_path / "m", "small", SMALL, small_arrays(), VOCABULARY_OF_SMALL, {"seed": 1})
    return tmp_path / "m"


def test_what_was_saved_is_read(folder: Path) -> None:
    opened = open_folder(folder)

    assert opened.config == SMALL
    assert opened.vocabulary == tuple(VOCABULARY_OF_SMALL)
    assert opened.name == "small"
    assert dict(opened.provenance) == {"seed": 1}
    assert {name.split(".")[0] for name in opened.arrays} == {"text", "image", "audio"}


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((8, 3, 3, 3), (0, 2, 3, 1)),  # channels_last
        ((8, 3, 3, 3), (1, 2, 3, 0)),
        ((64, 16, 5, 5), (0, 2, 3, 1)),
        ((9, 5), (1, 0)),
        ((256, 128), (1, 0)),
    ],
)
def test_order_in_memory_does_not_matter(
    tmp_path: Path, shape: tuple[int, ...], order: tuple[int, ...]
) -> None:
    plain = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    strided = np.ascontiguousarray(plain.transpose(order)).transpose(np.argsort(order))
    assert not strided.flags.c_contiguous
    revisions = [
        save_folder(tmp_path / name, "m", SMALL, {"image.weight": array}, VOCABULARY_OF_SMALL, {})
        for name, array in (("plain", plain), ("strided", strided))
    ]

    read = open_folder(tmp_path / "strided").arrays["image.weight"]
    assert np.allclose(read, plain, atol=np.abs(plain).max() / 100)
    assert revisions[0] == revisions[1]


def test_same_content_has_the_same_revision(folder: Path, tmp_path: Path) -> None:
    arrays = small_arrays()
    again = save_folder(tmp_path / "n", "other", SMALL, arrays, VOCABULARY_OF_SMALL, {})
    arrays["text.direct.bias"] = arrays["text.direct.bias"] + 1
    changed = save_folder(tmp_path / "o", "small", SMALL, arrays, VOCABULARY_OF_SMALL, {})

    assert open_folder(folder).revision == again != changed


def test_large_arrays_are_kept_in_a_byte_each() -> None:
    rng = np.random.default_rng(0)
    large = rng.standard_normal((256, 128)).astype(np.float32) * rng.uniform(0.1, 9, (256, 1))
    small = rng.standard_normal((8, 8)).astype(np.float32)

    packed = pack({"large": large.astype(np.float32), "small": small})
    restored = unpack(packed)

    assert packed["large"].dtype == np.int8
    # Half a step of a row is the most that rounding may move a value; the scale is a float16.
    steps = np.abs(large).max(axis=1, keepdims=True) / 127
    assert (np.abs(restored["large"] - large) <= 0.57 * steps).all()
    assert restored["small"] == pytest.approx(small, rel=1e-3)
    assert restored.keys() == {"large", "small"}


def test_packing_twice_changes_nothing() -> None:
    large = np.random.default_rng(1).standard_normal((256, 128)).astype(np.float32)

    once = unpack(pack({"large": large}))
    twice = unpack(pack(once))

    assert twice["large"] == pytest.approx(once["large"], abs=2e-4)


def _truncate(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-7])


def _flip(folder: Path) -> None:
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _edit_manifest(**changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / MANIFEST
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncate, "cut off"),
        (_flip, "hash"),
        (lambda f: (f / WEIGHTS).unlink(), "cannot be read"),
        (lambda f: (f / VOCABULARY).write_text("[unk]\n"), "instead of"),
        (lambda f: (f / MANIFEST).write_text("{"), "cannot be read"),
        (lambda f: (f / MANIFEST).write_text("[]"), "architecture"),
        (_edit_manifest(architecture="resnet"), "'resnet'"),
        (_edit_manifest(format_version=99), "format 99"),
        (_edit_manifest(files={}), "does not list"),
        (_edit_manifest(config={"dim": 8}), "whole model"),
    ],
)
def test_damage_is_refused_in_one_line(
    folder: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(folder)

    with pytest.raises(ModelIntegrityError, match=reason) as caught:
        load_tiny(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_folder_without_a_manifest_is_no_model(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ModelUnavailableError, match="not a model folder"):
            load_tiny(path, device="cpu")


def test_weights_of_other_sizes_are_refused(tmp_path: Path) -> None:
    arrays = small_arrays()
    arrays["image.projection.direct.weight"] = np.zeros((3, 3), np.float32)
    save_folder(tmp_path, "small", SMALL, arrays, VOCABULARY_OF_SMALL, {})

    with pytest.raises(ModelError, match="shape") as caught:
        picture = ImageSample(np.zeros((8, 8, 3), np.uint8))
        load_tiny(tmp_path, device="cpu").encode(Modality.IMAGE, [picture])
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("name", ["manifest.json", "config.json", "open_clip_config.json", "x.bin"])
def test_a_pipe_or_device_in_a_model_folder_is_refused_at_once(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    """Opening a pipe would wait for ever, and reading a device would never end."""
    make(tmp_path / name)
    for load in (open_folder, check_folder):
        with pytest.raises(ModelIntegrityError, match="is not a regular file") as told:
            load(tmp_path)
        assert str(tmp_path / name) in str(told.value)
