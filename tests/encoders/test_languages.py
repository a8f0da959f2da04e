"""Which language a text is in, and how much of it `tiny` knows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from seehear.encoders import known_shares, load_model
from seehear.encoders.base import LEAST_KNOWN, Model
from seehear.encoders.fake import FakeEncoder
from seehear.encoders.languages import guess_language, language_named, languages
from seehear.errors import UsageError
from seehear.types import Modality

NOTES = tomllib.loads(Path("benchmarks/languages.toml").read_text(encoding="utf-8"))
OTHERS = [(code, note) for code, notes in NOTES["others"].items() for note in notes]

ENGLISH = [
    *NOTES["english"],
    *NOTES["english"].values(),
    "axolotl",
    "gamelan orchestra",
    "axolotl gamelan quokka",
    "didgeridoo",
    "schnauzer puppy",
    "IMG_2041",
    "DSC_0012.jpg",
    "2041",
    "iPhone 15 Pro Max",
    "kubectl get pods",
    "doggo zoomies lol",
    "teh cat on a mat",
    "Beyoncé concert",
    "crème brûlée",
    "café au lait",
    "jalapeño peppers",
    "Kraków market square",
    "São Paulo skyline",
    "La La Land",
    "Tour de France",
    "Los Angeles skyline",
    "Van Gogh painting",
    "a child's toy",
    "the",
    "x",
    "",
    "...",
]


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load_model("tiny", "cpu")


@pytest.mark.parametrize("text", ENGLISH)
def test_english_with_names_codes_and_slips_is_known(tiny: Model, text: str) -> None:
    assert known_shares(tiny, [text]) == [1.0]


@pytest.mark.parametrize(("code", "note"), OTHERS)
def test_a_note_in_another_language_has_no_vector(tiny: Model, code: str, note: str) -> None:
    assert known_shares(tiny, [note])[0] <= LEAST_KNOWN
    (vectors,) = tiny.encode(Modality.TEXT, [note, "a dog"]).values()
    assert not vectors[0].any()
    assert np.linalg.norm(vectors[1]) == pytest.approx(1)


@pytest.mark.parametrize(
    "query",
    [
        "un chien sur la plage",
        "un perro en la playa",
        "un cane sulla spiaggia",
        "rotes Auto auf der Straße",
        "pies na plaży",
        "sahilde bir köpek",
        "где хлеб",
        "パンダ",
        "熊猫",
        "γάτα",
        "고양이",
        "قطة",
    ],
)
def test_a_question_in_another_language_has_no_vector(tiny: Model, query: str) -> None:
    assert known_shares(tiny, [query])[0] <= LEAST_KNOWN


def test_a_text_is_known_by_its_share(tiny: Model) -> None:
    mixed = ["a cat on the window", "a cat on the окне", "the cat на окне", "кот на the окне"]
    shares = known_shares(tiny, mixed)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert LEAST_KNOWN < shares[1] < 1.0
    assert shares[3] < LEAST_KNOWN


def test_words_without_blanks_weigh_by_their_length(tiny: Model) -> None:
    short, long = known_shares(tiny, ["panda eating bamboo 熊猫", "panda bamboo 大熊猫在吃竹子"])
    assert long <= LEAST_KNOWN < short < 1.0


def test_a_model_that_cannot_tell_knows_everything() -> None:
    assert known_shares(FakeEncoder(), ["где хлеб", "a dog"]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Der Hund liegt auf dem Sofa und schläft.", "German"),
        ("Le chat dort sur le canapé avec les enfants.", "French"),
        ("El perro está en la playa con los niños.", "Spanish"),
        ("Kot śpi na kanapie i się nie rusza.", "Polish"),
        ("Kedi bir pencerenin önünde uyuyor ve çok mutlu.", "Turkish"),
        ("Hunden är på stranden och det regnar.", "Swedish"),
        ("Рецепт ржаного хлеба", "Russian"),
        ("Кіт спить на дивані", "Ukrainian"),
        ("昨天我们去了动物园", "Chinese"),
        ("猫はソファーで寝ています", "Japanese"),
        ("고양이가 잔다", "Korean"),
        ("Η γάτα κοιμάται", "Greek"),
        ("القطة نائمة", "Arabic"),
        ("گربه روی مبل است", "Persian"),
        ("החתול ישן", "Hebrew"),
        ("बिल्ली सो रही है", "Hindi"),
        ("The cat is on the sofa.", "English"),
    ],
)
def test_languages_are_guessed(text: str, name: str) -> None:
    guess = guess_language(text)
    assert guess is not None
    assert guess.name == name


@pytest.mark.parametrize("text", ["", "axolotl", "ᚠᚢᚦᚨᚱᚲ", "2041", "…"])
def test_nothing_gives_a_language_away(text: str) -> None:
    assert guess_language(text) is None


def test_a_language_has_a_name_and_a_code() -> None:
    assert language_named("de") == language_named(" german ") == language_named("German")
    with pytest.raises(UsageError, match=r'No language "Germna" is known here. Did you mean'):
        language_named("Germna")


def test_no_language_is_listed_twice_or_without_signs() -> None:
    assert len({language.name for language in languages()}) == len(languages())
    for language in languages():
        assert bool(language.words) != bool(language.scripts), language.name
