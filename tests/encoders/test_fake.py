"""The fake encoder: what other tests may rely on."""

from itertools import product

import numpy as np
import pytest

from seehear.encoders.fake import CONCEPTS, FakeEncoder, image, tone, video
from seehear.errors import UsageError
from seehear.types import AudioSample, ImageSample, Modality, Sample

NAMES = [concept.name for concept in CONCEPTS]


def sample_of(modality: Modality, name: str) -> Sample:
    if modality is Modality.TEXT:
        return f"a photo of something {name}"
    if modality is Modality.AUDIO:
        return tone(name)
    return image(name) if modality is Modality.IMAGE else video(name, name)


@pytest.mark.parametrize(("query", "item"), list(product(Modality, Modality)))
def test_every_route_finds_the_same_concept_first(query: Modality, item: Modality) -> None:
    encoder = FakeEncoder()
    queries = encoder.encode(query, [sample_of(query, name) for name in NAMES])
    items = encoder.encode(item, [sample_of(item, name) for name in NAMES])
    similarities = queries @ items.T
    np.testing.assert_array_equal(similarities.argmax(axis=1), np.arange(len(NAMES)))
    others = similarities[~np.eye(len(NAMES), dtype=bool)]
    assert similarities.diagonal().min() > others.max() + 0.2


def test_words_of_a_concept_meet_its_colour_and_its_tone() -> None:
    encoder = FakeEncoder()
    for concept in CONCEPTS:
        text = encoder.encode(Modality.TEXT, [f"the {word}" for word in concept.words])
        pictures = encoder.encode(Modality.IMAGE, [image(name) for name in NAMES])
        assert set((text @ pictures.T).argmax(axis=1)) == {NAMES.index(concept.name)}


@pytest.mark.parametrize("rate", [8_000 * 2, 22_050, 44_100, 48_000])
def test_tones_are_known_at_every_sample_rate(rate: int) -> None:
    encoder = FakeEncoder()
    sounds = encoder.encode(Modality.AUDIO, [tone(name, 2.0, rate) for name in NAMES])
    texts = encoder.encode(Modality.TEXT, NAMES)
    np.testing.assert_array_equal((sounds @ texts.T).argmax(axis=1), np.arange(len(NAMES)))


def test_two_tones_at_once_are_two_concepts() -> None:
    encoder = FakeEncoder()
    both = tone("red").waveform * 0.5 + tone("white").waveform * 0.2
    (sound,) = encoder.encode(Modality.AUDIO, [AudioSample(both, 16_000)])
    texts = encoder.encode(Modality.TEXT, NAMES)
    best = np.argsort(texts @ sound)[-2:]
    assert {NAMES[i] for i in best} == {"red", "white"}


def test_samples_without_content_are_rows_of_zeros() -> None:
    encoder = FakeEncoder()
    silence = AudioSample(np.zeros(16_000, dtype=np.float32), 16_000)
    nothing = AudioSample(np.zeros(0, dtype=np.float32), 16_000)
    empty = ImageSample(np.zeros((0, 4, 3), dtype=np.uint8))
    sounds = encoder.encode(Modality.AUDIO, [silence, tone("red"), nothing])
    np.testing.assert_allclose(np.linalg.norm(sounds, axis=1), [0, 1, 0], atol=1e-6)
    assert not encoder.encode(Modality.TEXT, ["", "  ", "..."]).any()
    assert not encoder.encode(Modality.IMAGE, [empty]).any()


def test_other_words_have_directions_of_their_own() -> None:
    encoder = FakeEncoder()
    passages = ["the harbour master wrote a letter", "cooking lentils slowly", "red"]
    queries = ["letter to the harbour master", "slowly cooking lentils"]
    similarities = (
        encoder.encode(Modality.TEXT, queries) @ encoder.encode(Modality.TEXT, passages).T
    )
    np.testing.assert_array_equal(similarities.argmax(axis=1), [0, 1])


def test_the_same_sample_gives_the_same_row_in_any_batch() -> None:
    encoder = FakeEncoder()
    rng = np.random.default_rng(0)
    images = [ImageSample(rng.integers(0, 255, (h, 37, 3), dtype=np.uint8)) for h in (5, 90, 300)]
    together = encoder.encode(Modality.IMAGE, images)
    alone = np.concatenate([encoder.encode(Modality.IMAGE, [image]) for image in images])
    np.testing.assert_array_equal(together, alone)
    assert (together @ together.T).argmax(axis=1).tolist() == [0, 1, 2]


def test_it_counts_what_it_encodes() -> None:
    encoder = FakeEncoder()
    encoder.encode(Modality.IMAGE, [image("red"), image("blue")])
    encoder.encode(Modality.IMAGE, [image("red")])
    assert encoder.calls[Modality.IMAGE] == 2
    assert encoder.samples[Modality.IMAGE] == 3
    assert encoder.samples[Modality.TEXT] == 0


def test_wrong_modalities_are_refused() -> None:
    encoder = FakeEncoder(modalities=frozenset({Modality.TEXT, Modality.AUDIO}))
    with pytest.raises(UsageError, match="does not encode image"):
        encoder.encode(Modality.IMAGE, [image("red")])
    with pytest.raises(UsageError, match="encoded as text"):
        encoder.encode(Modality.TEXT, [image("red")])
    with pytest.raises(KeyError):
        image("ultraviolet")
