"""Guess the language of a text from its script and its short words; the lists are languages.toml.

A guess serves people only: it names the language of a text that a model cannot read.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seehear.errors import UsageError
from seehear.suggestions import did_you_mean

LISTS = Path(__file__).with_name("languages.toml")
_WORD = re.compile(r"[^\W\d_]+")
_LEAST_SIGNS = 2
"""Different short words and letters of a language that a text in Latin letters must have."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language, and what gives it away in a text."""

    code: str
    """As in ISO 639: "de"."""
    name: str
    """In English: "German"."""
    words: frozenset[str] = frozenset()
    """Short words, in lower case; empty for other scripts than Latin."""
    scripts: frozenset[str] = frozenset()
    """The first words of the Unicode names of its letters, such as "CYRILLIC"."""
    letters: frozenset[str] = frozenset()
    """Letters that tell it from other languages of the same script."""


@cache
def languages() -> tuple[Language, ...]:
    """Return the languages that can be guessed, English first."""
    import tomllib

    lists = tomllib.loads(LISTS.read_text(encoding="utf-8"))
    return tuple(
        Language(
            code,
            one["name"],
            frozenset(one.get("words", "").split()),
            frozenset(one.get("script", "").split()),
            frozenset(one.get("letters", "")),
        )
        for code, one in lists.items()
    )


@cache
def _foreign() -> tuple[frozenset[str], frozenset[str]]:
    """Return the short words of all languages but English, and their letters in Latin script."""
    others = [language for language in languages() if language.words and language.code != "en"]
    words = (language.words for language in others)
    return frozenset().union(*words), frozenset().union(*(one.letters for one in others))


def is_foreign(word: str) -> bool:
    """Tell whether a word, as `split_words` returns it, is surely not English, by itself."""
    words, letters = _foreign()
    return word in words or not (word.isascii() or letters.isdisjoint(word))


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case, with their accents, without digits."""
    return _WORD.findall((text if text.isascii() else unicodedata.normalize("NFC", text)).lower())


def guess_language(text: str) -> Language | None:
    """Return the language that a text is in, or None if nothing gives it away."""
    words = set(split_words(text))
    letters = Counter(letter for word in words for letter in word)
    scripts = Counter[str]()
    for letter, count in letters.items():
        scripts[unicodedata.name(letter, "?").split()[0].partition("-")[0]] += count
    script = max(scripts, key=scripts.__getitem__, default="LATIN")
    if script == "CJK" and (scripts["HIRAGANA"] or scripts["KATAKANA"]):
        script = "HIRAGANA"  # Japanese mixes its own letters with Chinese ones

    def signs(language: Language) -> int:
        return len(words & language.words) + len(letters.keys() & language.letters)

    if script != "LATIN":
        same = [language for language in languages() if script in language.scripts]
        return max(same, key=signs, default=None)
    best = max((language for language in languages() if language.words), key=signs)
    return best if signs(best) >= _LEAST_SIGNS else None


def language_named(name: str) -> Language:
    """Return the language of a name or a code ("German", "de"). Raises UsageError."""
    wanted = name.strip().lower()
    for language in languages():
        if wanted in (language.code, language.name.lower()):
            return language
    names = [language.name for language in languages()]
    raise UsageError(f'No language "{name}" is known here.{did_you_mean(name, names)}')
