"""Names of models, the list of models, devices, and what an import costs."""

import subprocess
import sys
from pathlib import Path

import pytest

from seehear.encoders import available_models, load_model
from seehear.encoders.devices import choose_device
from seehear.errors import ModelUnavailableError, UnknownModelError, UsageError
from seehear.types import Modality


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tinny", "did you mean tiny"),
        ("Standard", "did you mean standard"),
        ("PE-Core-B-16", "did you mean open_clip:PE-Core-B-16/meta"),
        ("xyzzy", "choose one of tiny, standard, standard-av, multilingual, omni, open_clip:"),
        ("open_clip:", "no model 'open_clip:'"),
        ("clap:", "no model 'clap:'"),
    ],
)
def test_unknown_names_suggest_near_ones(name: str, said: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        load_model(name, "cpu")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_list_names_licence_size_and_modalities() -> None:
    cards = {card.name: card for card in available_models()}
    assert list(cards)[:2] == ["tiny", "standard"]
    assert not [name for name in cards if "fake" in name]
    for card in cards.values():
        assert card.license in ("Apache-2.0", "MIT") or card.name == "tiny"
        assert card.summary
        assert Modality.TEXT in card.modalities
    assert cards["standard"].modalities == frozenset(Modality)
    assert 2.5e9 < cards["standard"].size_bytes < 2.6e9


def test_hub_models_are_pinned_to_full_commits_but_for_one() -> None:
    files = {file for card in available_models() for file in card.weights}
    (unpinned,) = (file for file in files if file.revision == "main")
    assert unpinned.repo == "timm/ViT-B-16-SigLIP2-256"
    for file in files - {unpinned}:
        assert len(file.revision) == 40
        assert set(file.revision) <= set("0123456789abcdef")


def test_presence_is_read_from_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    card = next(card for card in available_models() if card.name.startswith("clap:"))
    assert not card.present
    for file in card.weights:
        folder = tmp_path / f"models--{file.repo.replace('/', '--')}"
        there = folder / "snapshots" / file.revision / file.name
        there.parent.mkdir(parents=True)
        there.write_bytes(b"x")
        (folder / "refs").mkdir(exist_ok=True)
    again = next(again for again in available_models() if again.name == card.name)
    assert again.present


def test_fake_models_are_there_for_tests() -> None:
    assert load_model("fake").spaces_of(Modality.TEXT)[0].key == "fake@1:32"
    assert load_model("fake:7").revision == "7"
    assert len(load_model("fake-joined").spaces_of(Modality.AUDIO)) == 2


def test_a_folder_is_a_model_of_the_bundled_kind(small_builtin: Path, tmp_path: Path) -> None:
    model = load_model(str(small_builtin), "cpu")
    assert model.name == str(small_builtin)
    assert model.spaces_of(Modality.AUDIO)[0].name == "small-builtin"
    for name in (str(tmp_path), f"{tmp_path}/nowhere", "~/nowhere/at/all", "./nothing"):
        with pytest.raises(ModelUnavailableError, match="is not a model folder"):
            load_model(name, "cpu")


@pytest.mark.parametrize("device", ["gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", ""])
def test_words_that_name_no_device_are_refused_before_loading(device: str) -> None:
    with pytest.raises(UsageError, match="no device"):
        load_model("fake", device)


def test_devices_are_chosen_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(UsageError, match="no CUDA GPU"):
        choose_device("cuda")
    with pytest.raises(UsageError, match="no Apple GPU"):
        choose_device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UsageError, match="the last GPU here is cuda:1"):
        choose_device("cuda:2")


def test_standard_says_what_it_is_when_it_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        load_model("standard", "cpu")
    message = str(caught.value)
    assert "\n" not in message
    for said in (
        "model standard (2.6 GB, licence Apache-2.0)",
        "connect",
        "--model standard:FOLDER",
        "--model tiny",
    ):
        assert said in message
    with pytest.raises(ModelUnavailableError, match="holds no copy of PE-Core-B-16"):
        load_model(f"standard:{tmp_path}", "cpu")


def test_importing_and_listing_load_nothing_heavy() -> None:
    code = (
        "import sys, seehear.encoders as e; e.available_models(); e.load_model('fake');"
        "heavy = {'torch', 'open_clip', 'transformers', 'torchvision', 'faiss'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
