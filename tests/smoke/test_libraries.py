"""Every library loads beside the others and does what seehear needs it for, in one process."""

from __future__ import annotations

import importlib
import io

import numpy as np
import pytest

from seehear.libraries import LIBRARIES, Library

OTHER_EXTRAS = {
    "arrow",
    "lance",
    "langchain",
    "llama-index",
    "milvus",
    "places",
    "postgres",
    "preview",
    "ray",
    "remote",
    "timeline",
}
"""Extras that `make test-newest` does not install."""


# What a library warns of while it loads is between it and its own libraries.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.module)
def test_the_library_loads(library: Library) -> None:
    if library.extra in OTHER_EXTRAS:
        pytest.importorskip(library.module, reason=f"the extra {library.extra} is not installed")
    assert importlib.import_module(library.probe or library.module)


@pytest.mark.filterwarnings("ignore")
def test_torchaudio_turns_a_tone_into_its_mel_band() -> None:
    import torch
    import torchaudio

    seconds = torch.arange(16_000) / 16_000
    mel = torchaudio.transforms.MelSpectrogram(sample_rate=16_000, n_fft=1024, n_mels=64)
    bands = mel(torch.stack([torch.sin(2 * torch.pi * hz * seconds) for hz in (300, 3000)]))
    assert bands.shape == (2, 64, 32)
    low, high = bands.mean(dim=-1).argmax(dim=-1).tolist()
    assert low < high


@pytest.mark.filterwarnings("ignore")
def test_torchvision_computes_its_own_operators() -> None:
    """A torchvision of another torch has no such operator."""
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2]


def test_faiss_finds_the_nearest_vector() -> None:
    import faiss

    vectors = np.eye(8, dtype=np.float32)
    index = faiss.IndexFlatIP(8)
    index.add(vectors)
    assert index.search(vectors[3:4], 1)[1].tolist() == [[3]]


def test_av_reads_back_the_sound_that_it_wrote() -> None:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, 1600), 1000, np.int16), layout="mono")
        frame.rate = 16_000
        container.mux(stream.encode(frame))
    file.seek(0)
    with av.open(file, "r") as written:
        samples = [frame.to_ndarray() for frame in written.decode(audio=0)]
    assert np.concatenate(samples, axis=1).shape == (1, 1600)
