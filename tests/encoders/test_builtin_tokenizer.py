"""The bundled tokenizer: longest pieces, no case, accents or punctuation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seehear.encoders.tiny.tokenizer import CONTINUED, UNKNOWN, Tokenizer, words_of
from training.text_torch import choose_vocabulary

VOCABULARY = [UNKNOWN, "a", "dog", "un", "##want", "##ed", "##e", "##d", "wanted", "cafe"]


def test_words_lose_case_accents_and_punctuation() -> None:
    assert words_of("A Dog's  CAFÉ, (2nd_try) — naïve!") == [
        "a", "dog", "s", "cafe", "2nd", "try", "naive",
    ]  # fmt: skip


def test_longest_piece_comes_first() -> None:
    tokenizer = Tokenizer(VOCABULARY, 16)

    # The worked example of the WordPiece paper's rule: unwanted -> un ##want ##ed.
    assert tokenizer("unwanted") == [3, 4, 5]
    assert tokenizer("Café dog") == [9, 2]


def test_word_that_does_not_come_out_even_is_one_unknown() -> None:
    tokenizer = Tokenizer(VOCABULARY, 16)

    assert tokenizer("dogzzz a") == [0, 1]
    assert tokenizer("x" * 1000) == [0]


def test_text_without_words_has_no_pieces() -> None:
    tokenizer = Tokenizer(VOCABULARY, 16)

    assert tokenizer("") == tokenizer(" … !?") == []


def test_long_text_is_cut() -> None:
    assert Tokenizer(VOCABULARY, 3)("a dog unwanted") == [1, 2, 3]


def test_vocabulary_must_begin_with_unknown() -> None:
    with pytest.raises(ValueError, match="must begin with"):
        Tokenizer(["a", UNKNOWN], 4)


def test_chosen_vocabulary_keeps_frequent_words_whole_and_fits() -> None:
    sentences = ["the brown dog barks", "the cat sleeps"] * 6 + ["a rare quokka"]

    chosen = choose_vocabulary(sentences, ["bicycle", "window"], 120)

    assert len(chosen) == len(set(chosen)) <= 120
    assert chosen[0] == UNKNOWN
    assert {"the", "dog", "barks", "bicycle", "window"} <= set(chosen)
    assert "quokka" not in chosen


@given(st.text(max_size=60))
def test_every_latin_text_is_read_without_unknowns(text: str) -> None:
    signs = "abcdefghijklmnopqrstuvwxyz0123456789"
    tokenizer = Tokenizer([UNKNOWN, *signs, *(CONTINUED + sign for sign in signs)], 200)

    ids = tokenizer(text)

    assert all(0 <= number < len(tokenizer) for number in ids)
    words = words_of(text)
    if all(word.isascii() and len(word) <= 40 for word in words):
        assert 0 not in ids
        assert len(ids) == sum(len(word) for word in words)
