"""Models from the hub: from its cache without a network, pinned, and what a fetch asks for."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seehear.collection import Collection
from seehear.config import Settings
from seehear.encoders.clap import load_clap
from seehear.encoders.model_cards import CLAP_UNFUSED
from seehear.encoders.open_clip import load_open_clip
from seehear.errors import ModelUnavailableError
from seehear.hub import HubFile, HubModel, revision_of
from seehear.stores import Catalog
from seehear.types import EmbeddingSpace, Modality

MAIN = "a" * 40
OTHER = "b" * 40


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub."""
    from huggingface_hub import constants

    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


def put(cache: Path, repo: str, revision: str, file: Path, name: str = "") -> None:
    """Place a file as the hub's client does."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    there = folder / "snapshots" / revision / (name or file.name)
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, there)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(revision)


def test_the_pinned_clap_loads_from_the_cache_without_a_network(
    cache: Path, small_clap: Path
) -> None:
    weights, config = CLAP_UNFUSED.weights
    put(cache, weights.repo, weights.revision, small_clap / "model.safetensors")
    with pytest.raises(ModelUnavailableError, match="switched off here"):
        load_clap(weights.repo, "cpu")  # the rest is missing
    for file in small_clap.iterdir():
        if file.name != "model.safetensors":
            put(cache, config.repo, config.revision, file)
    encoder = load_clap(weights.repo, "cpu")
    assert encoder.space.name == f"clap:{weights.repo}"
    assert encoder.space.revision == f"{weights.revision[:12]}-1"
    np.testing.assert_array_equal(
        encoder.encode(Modality.TEXT, ["a dog"]),
        load_clap(str(small_clap), "cpu").encode(Modality.TEXT, ["a dog"]),
    )


def test_other_hub_models_stay_at_the_revision_that_is_cached(
    cache: Path, small_clap: Path
) -> None:
    for file in small_clap.iterdir():
        put(cache, "someone/clap", MAIN, file)
    assert load_clap("someone/clap", "cpu").space.revision == f"{MAIN[:12]}-1"
    assert load_clap(f"someone/clap@{MAIN}", "cpu").space.revision == f"{MAIN[:12]}-1"
    with pytest.raises(ModelUnavailableError):
        load_clap(f"someone/clap@{OTHER}", "cpu")


def test_tags_of_open_clip_load_from_the_cache(
    cache: Path, small_open_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_clip import pretrained

    settings = {"mean": (0.1, 0.2, 0.3), "std": (1, 1, 1), "interpolation": "bilinear"}
    tags = {
        "whole": {"hf_hub": "someone/clip/", "resize_mode": "squash", **settings},
        "named": {"hf_hub": "someone/clip/weights.bin", "resize_mode": "squash", **settings},
    }
    monkeypatch.setitem(pretrained._PRETRAINED, "seehear-small-clip", tags)
    file = small_open_clip / "seehear-small-clip.safetensors"
    put(cache, "someone/clip", MAIN, file, "open_clip_model.safetensors")
    encoder = load_open_clip("seehear-small-clip/whole", "cpu")
    assert encoder.space.key == f"open_clip:seehear-small-clip/whole@{MAIN[:12]}-1:24"
    assert encoder._model.visual.preprocess_cfg["mean"] == (0.1, 0.2, 0.3)
    assert encoder._model.visual.preprocess_cfg["resize_mode"] == "squash"
    with pytest.raises(ModelUnavailableError, match="seehear-small-clip/named"):
        load_open_clip("seehear-small-clip/named", "cpu")
    put(cache, "someone/clip", MAIN, file, "weights.safetensors")
    assert load_open_clip("seehear-small-clip/named", "cpu").space.dim == 24


def test_folders_on_the_hub_load_from_the_cache(cache: Path, small_pe_folder: Path) -> None:
    for file in small_pe_folder.iterdir():
        put(cache, "someone/pe", MAIN, file)
    encoder = load_open_clip("hf-hub:someone/pe", "cpu")
    assert encoder.space.key == f"open_clip:someone/pe@{MAIN[:12]}-1:32"
    assert encoder._model.visual.preprocess_cfg["resize_mode"] == "squash"


class Hub:
    """Stands in for the network: gives files of a folder and notes what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]) -> None:
        import huggingface_hub

        self.asked: list[tuple[str, str, str]] = []
        self.files = files
        monkeypatch.setattr(HubModel, "_reach", lambda _: None)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", self.download)

    def download(self, repo: str, name: str, *, revision: str) -> str:
        from huggingface_hub.errors import RemoteEntryNotFoundError

        self.asked.append((repo, name, revision))
        if name in self.files:
            return str(self.files[name])
        response: Any = type("Response", (), {"headers": {}, "request": None})()
        raise RemoteEntryNotFoundError("404", response=response)


def test_a_fetch_asks_for_the_pinned_revisions_and_names_the_licence(
    cache: Path,
    small_clap: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = Hub(monkeypatch, {file.name: file for file in small_clap.iterdir()})
    with caplog.at_level(logging.INFO, logger="seehear"):
        load_clap("laion/clap-htsat-unfused", "cpu")
    revisions = {name: revision for _, name, revision in hub.asked}
    weights, config = CLAP_UNFUSED.weights
    assert revisions["model.safetensors"] == weights.revision
    assert {r for name, r in revisions.items() if name != weights.name} == {config.revision}
    assert "licence Apache-2.0" in caplog.text


def test_safetensors_are_preferred_to_pickles(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch, {"model.safetensors": cache, "pytorch_model.bin": cache})
    model = HubModel("clap:x/y", None, "MIT", "clap:FOLDER")
    names = ("model.safetensors", "pytorch_model.bin")
    assert model.first_file("x/y", names, "main") == cache
    assert [name for _, name, _ in hub.asked] == ["model.safetensors"]
    hub.files.pop("model.safetensors")
    assert model.first_file("x/y", names, "main") == cache
    hub.files.clear()
    with pytest.raises(ModelUnavailableError, match=r"has none of model\.safetensors"):
        model.first_file("x/y", names, "main")


def test_what_the_hub_answers_becomes_the_reason(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    model = HubModel("clap:x/y", 5_000_000, "MIT", "clap:FOLDER")
    monkeypatch.setattr(HubModel, "_reach", lambda _: None)
    response: Any = type("Response", (), {"headers": {}, "request": None})()
    cases = [
        (errors.GatedRepoError("401", response=response), "accept its terms"),
        (errors.RepositoryNotFoundError("404", response=response), "no repository x/y"),
        (errors.RevisionNotFoundError("404", response=response), "no revision main"),
        (errors.LocalEntryNotFoundError("offline"), "cannot be reached"),
        (OSError(28, "No space left on device"), "No space left"),
    ]
    for error, said in cases:

        def fail(*_: Any, error: Exception = error, **__: Any) -> str:
            raise error

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
        with pytest.raises(ModelUnavailableError, match=said) as caught:
            model.file(HubFile("x/y", "config.json", "main"))
        assert "(5 MB, licence MIT)" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_hub_that_does_not_answer_is_found_out_quickly(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    class Session:
        def head(self, url: str, timeout: float) -> None:
            assert timeout <= 5
            raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    with pytest.raises(ModelUnavailableError, match="the hub cannot be reached"):
        HubModel("clap:x/y", None, "MIT", "clap:FOLDER").file(HubFile("x/y", "a", "main"))


def test_weights_are_named_by_commit_or_content(tmp_path: Path) -> None:
    in_cache = tmp_path / "models--a--b" / "snapshots" / MAIN / "model.safetensors"
    in_cache.parent.mkdir(parents=True)
    in_cache.write_bytes(b"x")
    assert revision_of(in_cache) == MAIN[:12]
    elsewhere = tmp_path / "snapshots" / "mine" / "model.safetensors"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(b"x")
    assert revision_of(elsewhere) == "2d711642b726"


HUB_MODELS = ["standard", "open_clip:ViT-B-32/laion400m_e32", "clap:laion/unknown-clap"]


@pytest.mark.parametrize("model", HUB_MODELS)
def test_a_model_that_only_the_collection_names_is_not_fetched(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a collection caused a download")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.get_session", refuse)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    catalog = Catalog.open(tmp_path / "collection")
    made = catalog.generations.create(model, "1", [EmbeddingSpace("space", "1", 8)])
    catalog.generations.promote(made.id)
    catalog.close()
    (tmp_path / "media").mkdir()
    with Collection(tmp_path / "collection", Settings(model="fake", device="cpu")) as library:
        calls = (library.status, lambda: library.search("x"), lambda: library.index(tmp_path))
        for call in calls:
            with pytest.raises(ModelUnavailableError) as caught:
                call()
            assert f"fetch it with `seehear index FOLDER --model {model}`" in str(caught.value)
            assert "\n" not in str(caught.value)
    named = Settings(model=model, device="cpu")
    with (
        Collection(tmp_path / "collection", named) as library,
        pytest.raises((ModelUnavailableError, AssertionError), match=r"download|cannot be reached"),
    ):
        library.search("x")
