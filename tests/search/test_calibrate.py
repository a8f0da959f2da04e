"""Test calibration: baselines, hubs, small collections, the query bank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from seehear.encoders.base import Route, SingleSpaceModel, normalised
from seehear.encoders.fake import FakeEncoder
from seehear.search.calibration import query_bank
from seehear.search.calibration.baseline import (
    BEST_SHARE,
    EVEN,
    LENIENT,
    ODDS_SLOW,
    WEAK_BELOW,
    Z_STEP,
    SimilarityBaseline,
    VectorSample,
    doubt,
    fall,
    fit_baseline,
    log_odds,
    presence_odds,
    rivals_of,
    score_of,
    share_spread,
)
from seehear.search.scoring import Comparison
from seehear.types import EmbeddingSpace, Modality, SampleSpec

DIM = 64
SPACE = EmbeddingSpace("made-up", "1", DIM)
ROUTE = Route(Modality.TEXT, Modality.IMAGE, SPACE)
BY_EXAMPLE = Route(Modality.IMAGE, Modality.IMAGE, SPACE)
Floats = NDArray[np.float32]


def around(middle: Floats, count: int, seed: int, noise: float = 1.0) -> Floats:
    """Unit vectors around a direction: a modality's region of the space."""
    rng = np.random.default_rng(seed)
    return normalised((middle + noise * rng.normal(size=(count, DIM)) / 8).astype(np.float32))


TEXT_MIDDLE = np.eye(DIM, dtype=np.float32)[0]
IMAGE_MIDDLE = 0.3 * TEXT_MIDDLE + 0.9 * np.eye(DIM, dtype=np.float32)[1]


def z_of(baseline: SimilarityBaseline, query: Floats, items: Floats) -> Floats:
    return baseline.z(items @ query, baseline.expected(query, items))


def sampled(vectors: Floats) -> VectorSample:
    return VectorSample(vectors, np.arange(len(vectors), dtype=np.int64))


def test_unrelated_pairs_have_z_of_mean_0_and_spread_1() -> None:
    texts, images = around(TEXT_MIDDLE, 200, 1), around(IMAGE_MIDDLE, 500, 2)
    background = fit_baseline(ROUTE, texts, None, sampled(images), 300)
    fresh = around(IMAGE_MIDDLE, 400, 3)
    z = np.stack([z_of(background, query, fresh) for query in around(TEXT_MIDDLE, 50, 4)])
    assert z.mean() == pytest.approx(0.0, abs=0.15)
    assert z.std() == pytest.approx(1.0, abs=0.15)


def test_routes_with_different_cosines_give_the_same_z() -> None:
    images = around(IMAGE_MIDDLE, 500, 2)
    by_text = fit_baseline(ROUTE, around(TEXT_MIDDLE, 200, 1), None, sampled(images), 300)
    by_image = fit_baseline(BY_EXAMPLE, images[:0], sampled(images[:256]), sampled(images), 300)
    assert by_image.middle > by_text.middle + 0.2
    fresh = around(IMAGE_MIDDLE, 400, 3)
    for background, middle in ((by_text, TEXT_MIDDLE), (by_image, IMAGE_MIDDLE)):
        z = np.stack([z_of(background, query, fresh) for query in around(middle, 50, 4)])
        assert abs(float(np.median(z))) < 0.2
        assert float(z.std()) == pytest.approx(1.0, abs=0.2)


def test_a_hub_is_expected_to_be_near() -> None:
    texts, images = around(TEXT_MIDDLE, 200, 1), around(IMAGE_MIDDLE, 500, 2)
    background = fit_baseline(ROUTE, texts, None, sampled(images), 300)
    hub = normalised((IMAGE_MIDDLE + 0.6 * TEXT_MIDDLE)[None])
    query = around(TEXT_MIDDLE, 1, 9)[0]
    plain = float(((hub @ query)[0] - background.middle) / background.spread)
    assert float(z_of(background, query, hub)[0]) < 0.5 * plain


def test_one_item_is_enough_for_a_background() -> None:
    texts = around(TEXT_MIDDLE, 200, 1)
    for count in (1, 5):
        background = fit_baseline(ROUTE, texts, None, sampled(around(IMAGE_MIDDLE, count, 2)), 300)
        fresh = around(IMAGE_MIDDLE, 300, 3)
        z = np.stack([z_of(background, query, fresh) for query in around(TEXT_MIDDLE, 30, 4)])
        assert abs(float(np.median(z))) < 1.0
        assert 0.4 < z.std() < 2.0


def test_own_items_take_over_from_the_made_up_ones_as_they_grow() -> None:
    odd = around(np.eye(DIM, dtype=np.float32)[5], 32, 7)  # nothing like the collection
    errors = []
    for count in (2, 50, 500):
        images = sampled(around(IMAGE_MIDDLE, count, 2))
        background = fit_baseline(BY_EXAMPLE, odd, images, images, 300)
        fresh = around(IMAGE_MIDDLE, 300, 3)
        z = np.stack([z_of(background, query, fresh) for query in fresh[:30]])
        errors.append(abs(float(np.median(z))))
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.3


def test_nothing_to_search_and_rows_without_content() -> None:
    nothing = sampled(np.zeros((0, DIM), dtype=np.float32))
    background = fit_baseline(ROUTE, around(TEXT_MIDDLE, 20, 1), None, nothing, 300)
    assert z_of(background, TEXT_MIDDLE, nothing.vectors).shape == (0,)
    images = around(IMAGE_MIDDLE, 50, 2)
    silent = np.concatenate([images, np.zeros((50, DIM), dtype=np.float32)])
    texts = around(TEXT_MIDDLE, 50, 1)
    one = fit_baseline(ROUTE, texts, None, sampled(images), 300)
    other = fit_baseline(ROUTE, texts, None, sampled(silent), 300)
    assert one.spread == pytest.approx(other.spread)


def test_equal_items_do_not_make_every_score_one() -> None:
    same = np.repeat(around(IMAGE_MIDDLE, 1, 2), 20, axis=0)
    background = fit_baseline(BY_EXAMPLE, same, sampled(same), sampled(same), 300)
    assert background.spread > 0
    assert np.isfinite(z_of(background, same[0], same)).all()


def test_scores_rise_with_z_and_stay_apart() -> None:
    z = np.linspace(-10, 80, 400).astype(np.float32)
    scores = score_of(log_odds(z))
    assert np.all(np.diff(scores) > 0)
    assert 0 < scores[0] < 0.001
    assert 0.98 < scores[-1] < 1
    assert score_of(log_odds(np.array([EVEN], np.float32)))[0] == pytest.approx(0.5)
    assert score_of(np.array([-np.inf], np.float32))[0] == 0.0
    at_the_bend = log_odds(np.array([EVEN + ODDS_SLOW * Z_STEP], np.float32))
    assert at_the_bend[0] == pytest.approx(ODDS_SLOW)


def test_more_is_asked_of_a_query_where_chance_has_more_draws() -> None:
    z, margins = np.array([5.0, 4.0], np.float32), np.array([0.5], np.float32)
    few, many, most = (presence_odds(z, margins, n) for n in (40, 1_400, 1_000_000))
    assert few > many > most
    assert presence_odds(z, margins, 0) == presence_odds(z, margins, 1)


def test_many_alike_are_evidence_for_a_query() -> None:
    none = np.zeros(0, np.float32)
    lone = presence_odds(np.array([4.0, 0.0, 0.0], np.float32), none, 500)
    several = presence_odds(np.array([4.0, 4.0, 4.0], np.float32), none, 500)
    assert several == pytest.approx(lone + np.log(3))
    # What stands far below takes nothing away.
    assert presence_odds(np.array([4.0, -9.0], np.float32), none, 500) == pytest.approx(
        presence_odds(np.array([4.0], np.float32), none, 500)
    )


def test_a_query_whose_best_items_fit_others_better_is_doubted() -> None:
    z = np.array([4.0, 3.9, 3.8], np.float32)
    own, borrowed = np.full(3, 0.8, np.float32), np.full(3, -0.8, np.float32)
    assert presence_odds(z, own, 500) > presence_odds(z, borrowed, 500) + 3
    lacking = doubt(np.array([-5.0, -1.0, 0.0, 5.0, np.inf], np.float32))
    assert np.all(np.diff(lacking) < 0)
    assert lacking[-1] == 0


@pytest.mark.parametrize("best", [6.0, 8.0, 12.0])
def test_beside_a_good_answer_what_lies_halfway_is_not_sure(best: float) -> None:
    """What is nearly as good stays sure, however good the best one is."""
    z = best * np.array([1.0, 0.9, 0.4, 0.2], np.float32)
    sure = score_of(log_odds(z) - fall(z, np.array(best, np.float32)) + LENIENT)
    assert np.all(sure[:2] >= 0.5)
    assert np.all(sure[2:] < WEAK_BELOW)


def test_without_a_good_answer_nothing_falls() -> None:
    z = np.array([3.0, 1.0, 0.0], np.float32)
    assert np.all(fall(z, np.array(EVEN / BEST_SHARE, np.float32)) == 0)
    assert np.all(fall(z, np.array(-np.inf, np.float32)) == 0)


def test_rivals_are_asked_about_a_share_of_few_items() -> None:
    assert [rivals_of(n) for n in (1, 30, 50, 100, 9_000)] == [3, 3, 5, 10, 10]


def test_what_was_asked_with_is_found_for_sure() -> None:
    middle = np.zeros(DIM, np.float32)
    close = SimilarityBaseline(BY_EXAMPLE, middle, middle, 0.8, 0.1, 0.0, 0.0, count=300)
    asked, items = np.eye(1, DIM, dtype=np.float32)[0], np.zeros((2, DIM), np.float32)
    items[0, 0], items[1, :2] = 1.0, (0.9, np.sqrt(0.19))
    similarities, expected = items @ asked, close.expected(asked, items)
    np.testing.assert_allclose(similarities, [1.0, 0.9], rtol=1e-6)
    np.testing.assert_allclose(expected, 0.8, rtol=1e-6)
    np.testing.assert_allclose(close.z(similarities, expected), [2.0, 1.0], rtol=1e-5)
    compared = Comparison(
        modality=BY_EXAMPLE.query,
        which=np.zeros(2, np.int64),
        is_own=np.ones(2, np.bool_),
        similarities=similarities[None],
        expected=expected[None],
        z=close.z(similarities, expected)[None],
    )
    same, near = score_of(compared.odds)[0]
    assert same > 0.95
    assert near < 0.2
    by_words = replace(compared, is_own=np.zeros(2, np.bool_))
    assert score_of(by_words.odds)[0, 0] < 0.5


def test_routes_of_one_space_share_the_widest_spread_by_their_reach() -> None:
    texts, images = around(TEXT_MIDDLE, 100, 1), around(IMAGE_MIDDLE, 300, 2)
    wide = around(IMAGE_MIDDLE, 300, 3, noise=3.0)
    sound = Route(Modality.TEXT, Modality.AUDIO, SPACE)
    other = Route(Modality.TEXT, Modality.VIDEO, EmbeddingSpace("other", "1", DIM))
    nothing = VectorSample(np.zeros((0, DIM), np.float32), np.zeros(0, np.int64))
    fitted = [
        fit_baseline(ROUTE, texts, None, sampled(images), 300),
        fit_baseline(sound, texts, None, sampled(wide), 300),
        fit_baseline(other, texts, None, sampled(images), 300),
        fit_baseline(Route(Modality.TEXT, Modality.TEXT, SPACE), texts, None, nothing, 300),
    ]
    assert fitted[1].spread > 1.1 * fitted[0].spread
    # Nothing here is related to anything: each reaches up as a normal distribution does.
    for background in fitted[:3]:
        assert background.reach == pytest.approx(background.spread, rel=0.25)
    drawn = share_spread(fitted)
    assert fitted[0].spread < drawn[0].spread < fitted[1].spread < drawn[1].spread
    assert drawn[1].spread < 1.1 * drawn[0].spread
    assert drawn[2].spread == pytest.approx(fitted[2].spread)
    assert [b.count for b in drawn] == [300, 300, 300, 0]
    assert [b.middle for b in drawn] == [b.middle for b in fitted]


def test_the_reach_of_few_items_counts_little() -> None:
    texts = around(TEXT_MIDDLE, 100, 1)
    many = fit_baseline(ROUTE, texts, None, sampled(around(IMAGE_MIDDLE, 300, 2)), 300)
    sound = Route(Modality.TEXT, Modality.AUDIO, SPACE)
    for count in (1, 2, 5):
        few = fit_baseline(sound, texts, None, sampled(around(IMAGE_MIDDLE, count, 3)), 300)
        drawn = share_spread([many, few])
        assert drawn[1].spread == pytest.approx(drawn[0].spread, rel=0.03)


def test_the_bank_of_phrases() -> None:
    phrases = query_bank.phrases()
    assert 200 <= len(phrases) <= 230
    assert len(set(phrases)) == len(phrases)


@pytest.mark.parametrize("modality", Modality)
def test_the_bank_is_always_the_same_and_of_many_kinds(modality: Modality) -> None:
    model = SingleSpaceModel("fake", FakeEncoder())
    (once,) = query_bank.encode_bank(modality, model).values()
    (again,) = query_bank.encode_bank(modality, model).values()
    np.testing.assert_array_equal(once, again)
    assert len(np.unique(once.round(3), axis=0)) > 16


def test_made_up_media_fit_what_a_model_wants() -> None:
    spec = SampleSpec(image_px=96, sample_rate_hz=8_000, window_s=1.5)
    pictures = query_bank.bank_samples(Modality.IMAGE, spec)
    sounds = query_bank.bank_samples(Modality.AUDIO, spec)
    assert all(p.pixels.shape == (96, 96, 3) for p in pictures)  # type: ignore[union-attr]
    assert all(s.duration_s == 1.5 for s in sounds)  # type: ignore[union-attr]
    assert all(0.1 < np.abs(s.waveform).max() <= 0.51 for s in sounds)  # type: ignore[union-attr]


def test_vectors_are_packed_without_pickle() -> None:
    vectors = around(TEXT_MIDDLE, 5, 1)
    packed = query_bank.pack(vectors)
    np.testing.assert_array_equal(query_bank.unpack(packed, DIM), vectors)
    assert query_bank.unpack(packed, DIM + 1) is None
    assert query_bank.unpack(packed[:40], DIM) is None
    assert query_bank.unpack(b"\x80\x04K\x01.", DIM) is None
