"""Lines cut into passages: where they end, what they keep, how writing is put in order."""

import pytest

from seehear.readers import encoded_passages, passages
from seehear.readers.cut import SPEECH_WORDS, WRITING_WORDS
from seehear.types import Line, Modality, Origin, Reading, Segment


def heard(text: str, start_s: float = 0.0, language: str = "en", step_s: float = 0.4) -> Line:
    """A line whose words follow one another without a pause."""
    words = tuple(
        (word, start_s + at * step_s, start_s + (at + 1) * step_s)
        for at, word in enumerate(text.split())
    )
    return Line(text, start_s, words[-1][2], words, confidence=0.8, language=language)


def texts(*lines: Line, origin: Origin = Origin.SPEECH) -> list[str | None]:
    return [segment.text for segment in passages(Reading(lines), origin)]


def test_short_sentences_share_a_passage_and_long_ones_are_cut() -> None:
    count = " ".join(f"word{at}" for at in range(26)) + "."
    cut = texts(heard(f"Yes. It does. {count}"))
    assert [len((text or "").split()) for text in cut] == [12, 8, 9]
    assert " ".join(text or "" for text in cut) == f"Yes. It does. {count}"


@pytest.mark.parametrize("end", [".", "!", "?", "…", "。", '."'])
def test_a_full_passage_ends_at_the_end_of_a_sentence(end: str) -> None:
    first, second = "one two three four five six seven" + end, "eight nine ten eleven twelve more."
    assert texts(heard(f"{first} {second}")) == [first, second]


def test_a_sentence_runs_on_from_one_line_to_the_next() -> None:
    assert texts(heard("the broken ankle", 0.0), heard("needs six weeks.", 1.2)) == [
        "the broken ankle needs six weeks."
    ]


def test_a_pause_ends_a_passage() -> None:
    assert texts(heard("come here", 0.0), heard("now", 1.29)) == ["come here now"]
    assert texts(heard("come here", 0.0), heard("now", 1.31)) == ["come here", "now"]


def test_two_languages_never_share_a_passage() -> None:
    lines = heard("good night", 0.0), heard("gute Nacht", 0.8, "de"), heard("bye", 1.6)
    found = passages(Reading(lines), Origin.SPEECH)
    assert [(one.text, one.language) for one in found] == [
        ("good night", "en"),
        ("gute Nacht", "de"),
        ("bye", "en"),
    ]


def test_a_passage_keeps_times_confidence_origin_and_the_text_as_it_is_written() -> None:
    words = (("東京", 1.0, 1.5), ("は", 1.5, 1.6), ("晴れ", 1.6, 2.0))
    line = Line("東京は晴れ", 1.0, 2.0, words, confidence=0.5, language="ja")
    (segment,) = passages(Reading((line,)), Origin.SPEECH)
    assert segment == Segment(Modality.TEXT, 1.0, 2.0, "東京は晴れ", None, Origin.SPEECH, "ja", 0.5)


def test_a_line_without_times_of_its_words_is_spread_over_its_time() -> None:
    line = Line(" ".join(f"w{at}" for at in range(24)), 10.0, 34.0)
    found = passages(Reading((line,)), Origin.SPEECH)
    assert [(one.start_s, one.stop_s) for one in found] == [(10.0, 22.0), (22.0, 34.0)]


def test_words_that_are_not_those_of_the_text_are_kept() -> None:
    line = Line("10 %", 0.0, 1.0, (("ten", 0.0, 0.5), ("percent", 0.5, 1.0)))
    assert texts(line) == ["ten percent"]


def test_the_translation_is_what_is_encoded() -> None:
    line = Line("das Bein ist gebrochen", 0.0, 2.0, language="de", translation="the leg is broken")
    ((segment, encoded),) = encoded_passages(Reading((line,)), Origin.SPEECH)
    assert (segment.text, encoded) == ("das Bein ist gebrochen", "the leg is broken")


def test_no_passage_of_speech_is_longer_than_promised() -> None:
    for count in range(1, 60):
        cut = texts(heard(" ".join(["word"] * count)))
        assert all(len((text or "").split()) <= SPEECH_WORDS for text in cut)
        assert sum(len((text or "").split()) for text in cut) == count


def seen(text: str, left: float, top: float, right: float, height: float = 0.03) -> Line:
    return Line(text, box=(left, top, right, top + height), confidence=0.9)


def test_two_columns_are_two_passages_each_from_top_to_bottom() -> None:
    lines = [
        seen("left one", 0.1, 0.10, 0.4), seen("right one", 0.6, 0.10, 0.9),
        seen("left two", 0.1, 0.14, 0.4), seen("right two", 0.6, 0.14, 0.9),
    ]  # fmt: skip
    found = passages(Reading(tuple(lines)), Origin.WRITING)
    assert [one.text for one in found] == ["left one left two", "right one right two"]
    assert found[0].box == (0.1, 0.10, 0.4, 0.17)
    assert {one.origin for one in found} == {Origin.WRITING}
    assert found[0].start_s is None


def test_pieces_of_one_row_share_a_passage() -> None:
    lines = [seen("Platform", 0.1, 0.1, 0.25), seen("Seven", 0.27, 0.101, 0.4)]
    assert texts(*lines, origin=Origin.WRITING) == ["Platform Seven"]


def test_a_heading_far_above_is_a_passage_of_its_own() -> None:
    lines = [seen("Menu", 0.1, 0.05, 0.3), seen("Soup", 0.1, 0.5, 0.3)]
    assert texts(*lines, origin=Origin.WRITING) == ["Menu", "Soup"]


def test_writing_of_two_pages_and_of_two_shots_stays_apart() -> None:
    pages = [Line("one", page=1), Line("two", page=2)]
    found = passages(Reading(tuple(pages)), Origin.WRITING)
    assert [(one.text, one.page) for one in found] == [("one", 1), ("two", 2)]
    shots = [Line("one", 0.0, 4.0), Line("two", 4.0, 9.0)]
    found = passages(Reading(tuple(shots)), Origin.WRITING)
    assert [(one.start_s, one.stop_s) for one in found] == [(0.0, 4.0), (4.0, 9.0)]


def test_no_passage_of_writing_is_longer_than_promised() -> None:
    lines = [seen(" ".join(["word"] * 7), 0.1, 0.02 + 0.04 * at, 0.9) for at in range(20)]
    lines.append(seen(" ".join(["long"] * 150), 0.1, 0.82, 0.9))
    cut = texts(*lines, origin=Origin.WRITING)
    assert all(len((text or "").split()) <= WRITING_WORDS for text in cut)
    assert sum(len((text or "").split()) for text in cut) == 7 * 20 + 150


def test_nothing_gives_no_passages() -> None:
    assert passages(Reading(), Origin.SPEECH) == passages(Reading(), Origin.WRITING) == []
