"""Turn any text into the terms of the word index: one normaliser for every database.

A text becomes *words*: NFKC, without case, accents, soft hyphens, zero-width characters and vowel
signs of Arabic and Hebrew. Scripts without spaces (Chinese, Japanese, Thai) give one word for each
character, and a run of them in a query is asked as a phrase. CamelCase and digits part file names.

Beside the words stand their *stems* by Snowball, each tagged with its language ("run·en"): a text
is stemmed in the language that its function words tell, a query in every language of its script.
A language that is told wrongly costs little, because the query is stemmed in that language, too.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from Stemmer import Stemmer

LONGEST_TEXT = 100_000
"""Characters indexed per text."""
LONGEST_WORD = 500
"""Characters used of a word."""
TAG = "·"
"""Stands between a stem and its language. No word contains it."""
SHORTEST_STEMMED = 3
MOST_KEPT = 100_000
"""Words whose stems, or other forms, are kept in memory for each language."""

# Languages of Latin script by their tags: the stemmer, and function words without accents.
_LATIN = {
    "en": (
        "english",
        "a an the of and to in is that it was for on with as are this be by not at he she i we",
    ),
    "de": ("german", "der die und das den von zu mit ist im des nicht ein eine auf dem sich auch"),
    "fr": ("french", "le les des et est une du que dans pour pas sur qui au plus avec nous il"),
    "es": ("spanish", "el los las y que una por con para del es se como su al lo mas pero en"),
    "it": ("italian", "il di che e un per una sono della con non del si nel gli ma alla dei"),
    "pt": ("portuguese", "o os do da em um uma que para com nao na dos se por mais ao as"),
    "nl": ("dutch", "de het een van en dat niet met voor zijn op te aan ook er wij bij"),
    "sv": ("swedish", "och att det som en ar pa av for med inte den till har ett jag om"),
    "da": ("danish", "og det at en er til af pa med som den ikke har der et jeg blev"),
    "no": ("norwegian", "og det som en er til av pa med ikke den har jeg et ble etter"),
    "fi": ("finnish", "ja on ei se etta oli han mutta kun ovat myos joka niin tai kuin"),
    "hu": ("hungarian", "a az es hogy nem is egy van meg csak volt mint vagy ezt"),
    "ro": ("romanian", "si in cu nu pe este care din sa mai pentru sunt ce ca la"),
    "tr": ("turkish", "ve bir bu icin ile cok var olan gibi daha ama kadar sonra"),
    "ca": ("catalan", "el la els les i amb per una del no que dels pel aquest"),
    "pl": ("polish", "i w na z do nie sie jest ze jak po ale oraz przez"),
    "cs": ("czech", "a se v na je ze s z do to jsem ale jako pro ktery"),
    "id": ("indonesian", "yang dan di ini itu untuk dengan dari tidak ke pada akan"),
    "et": ("estonian", "ja on ei et see oli ka kui oma aga mis siis"),
    "lt": ("lithuanian", "ir yra kad su is i bet tai buvo kaip apie"),
    "sr": ("serbian", "i je u da se na za su od kao ali koji sam"),
    "eu": ("basque", "eta da ez du bat hau dira baina izan ere"),
    "ga": ("irish", "agus an na is ar ag le ta go bhi seo"),
    "eo": ("esperanto", "la kaj estas de en ne mi li ke por"),
}
_OTHER = {
    "ru": "russian",
    "el": "greek",
    "ar": "arabic",
    "fa": "persian",
    "hy": "armenian",
    "hi": "hindi",
    "ta": "tamil",
}
_STEMMERS = {tag: name for tag, (name, _) in _LATIN.items()} | _OTHER
_FUNCTION_WORDS = {tag: frozenset(words.split()) for tag, (_, words) in _LATIN.items()}
_TOLD_BY: dict[str, tuple[str, ...]] = {}
for _tag, _words in _FUNCTION_WORDS.items():
    for _word in _words:
        _TOLD_BY[_word] = (*_TOLD_BY.get(_word, ()), _tag)
_NOT_ENGLISH = frozenset(_TOLD_BY) - _FUNCTION_WORDS["en"]
_SCRIPTS = (
    (0x0250, tuple(_LATIN)),
    (0x0370, ()),
    (0x0400, ("el",)),
    (0x0530, ("ru",)),
    (0x0590, ("hy",)),
    (0x0600, ()),
    (0x0700, ("ar", "fa")),
    (0x0900, ()),
    (0x0980, ("hi",)),
    (0x0B80, ()),
    (0x0C00, ("ta",)),
    (0x1E00, ()),
    (0x1F00, tuple(_LATIN)),
    (0x2000, ("el",)),
)
"""The end of each range of letters, and the languages that are written in it."""
_PERSIAN = re.compile("[\u067e\u0686\u0698\u06a9\u06af\u06cc]")

_DIGIT = re.compile(r"\d")
_ASCII_WORDS = str.maketrans({c: c.lower() if c.isalnum() else " " for c in map(chr, range(128))})
_ASCII_WORD = re.compile("[A-Za-z0-9]+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3041-\u3096\u309d-\u309f"
    "\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Characters of scripts without spaces; not Hangul, whose words stand apart."""
_ACCENT = re.compile("[\u0300-\u036f\u0483-\u0487\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f]")
_SILENT = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u08d3-\u08ff"
    "\u20d0-\u20ff\ufb1e\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""Vowel signs of Arabic, Hebrew and Syriac, the stretching of Arabic, and variation selectors."""
_PLAIN_LETTERS = str.maketrans(
    {
        **dict(zip("łøđðħıŧ", "loddhit", strict=True)),
        **{"æ": "ae", "œ": "oe", "þ": "th", "ی": "ي", "ى": "ي", "ک": "ك", "ة": "ه"},
    }
)
"""Letters that are no others with a mark, but are typed as others."""


_Key = TypeVar("_Key")


class _Memory(dict[_Key, str]):
    """What a function returns for each key, computed once."""

    def __init__(self, made: Callable[[_Key], str]) -> None:
        super().__init__()
        self._made = made

    def __missing__(self, key: _Key) -> str:
        if len(self) >= MOST_KEPT:
            self.clear()
        self[key] = made = self._made(key)
        return made


def _clean(code: int) -> str:
    """Return a character as part of a word, "" if it is silent, or a space if it parts words."""
    character = chr(code)
    kind = unicodedata.category(character)
    if kind in {"Cf", "Me"} or _SILENT.match(character):
        return ""
    if kind[0] == "M":
        # The vowels of Thai belong to the character before them, which is a word by itself.
        alone = _UNSPACED.match(character) or character in "\u3099\u309a"
        return f"\0{character} " if alone else character
    if kind[0] not in "LN" and kind != "Co":
        return " "
    return f" {character} " if _UNSPACED.match(character) else character


_CLEANED = _Memory(_clean)


def _split(text: str) -> list[str]:
    """Split a text into words without case, each with its accents, as stemmers need it."""
    text = text[:LONGEST_TEXT]
    if text.isascii():
        return text.translate(_ASCII_WORDS).split()
    return _cleaned(text).split()


def _cleaned(text: str) -> str:
    """Return a text in its normal form, with blanks between all words."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return text.translate(_CLEANED).replace(" \0", "").replace("\0", "")


def _fold(word: str) -> str:
    """Return a word of `_split` without accents, as it stands in the index."""
    if not word.isascii():
        apart = _SILENT.sub("", _ACCENT.sub("", unicodedata.normalize("NFD", word)))
        word = unicodedata.normalize("NFC", apart).translate(_PLAIN_LETTERS)
    return word[:LONGEST_WORD]


_FOLDED = _Memory(_fold)


def words_of(text: str) -> list[str]:
    """Return the words of a text, in order, as they stand in the index."""
    return _folded(_split(text))


def stems_of(text: str) -> list[str]:
    """Return the distinct stems of a text, each tagged with its language."""
    return words_and_stems(text)[1]


def words_and_stems(text: str) -> tuple[list[str], list[str]]:
    """Return what `words_of` and `stems_of` do, in half of the time."""
    split = _split(text)
    distinct = dict.fromkeys(split)
    stems = dict.fromkeys(map(_stems_for(text, distinct).__getitem__, distinct))
    stems.pop("", None)
    return _folded(split), list(stems)


def _folded(split: Iterable[str]) -> list[str]:
    return list(filter(None, map(_FOLDED.__getitem__, split)))


def stems_by_word(text: str, split: Iterable[str]) -> dict[str, str]:
    """Return the stems of words of a text, by the word with its accents; most of them have one."""
    stems = _stems_for(text, split)
    return {word: stem for word in split if (stem := stems[word])}


def _stems_for(text: str, split: Iterable[str]) -> _Memory[str]:
    """Return the stems of words in the languages of a text; "" for a word without one."""
    if text.isascii():
        return _stems_in(_language_of(split), "ar")
    return _stems_in(_language_of(_folded(split)), "fa" if _PERSIAN.search(text) else "ar")


@lru_cache
def _stems_in(latin: str, arabic: str) -> _Memory[str]:
    return _Memory(partial(_stem_in, latin, arabic))


def _stem_in(latin: str, arabic: str, word: str) -> str:
    if word in _FUNCTION_WORDS[latin] or not (tags := _languages(word)):
        return ""
    return _stem(word, next((tag for tag in tags if tag in {latin, arabic}), tags[0]))


@lru_cache(maxsize=1024)
def stems_in_all_languages(word: str) -> tuple[str, ...]:
    """Return the stems of a word of a query in every language of its script."""
    return tuple(_stem(one, tag) for one in _split(word)[:1] for tag in _languages(one))


def _language_of(words: Iterable[str]) -> str:
    """Return the language of Latin script that function words tell; English without any."""
    if _NOT_ENGLISH.isdisjoint(words):
        return "en"  # no other language has more of them
    counts = Counter(tag for word in words for tag in _TOLD_BY.get(word, ()))
    best = max(counts, key=lambda tag: counts[tag])
    return best if counts[best] > counts["en"] else "en"


def _languages(word: str) -> tuple[str, ...]:
    """Return the languages that a word may be of, by its first letter, if it has a stem."""
    if len(word) < SHORTEST_STEMMED or not word[0].isalpha() or _DIGIT.search(word):
        return ()
    code = ord(word[0])
    return next((tags for end, tags in _SCRIPTS if code < end), ())


def _stem(word: str, tag: str) -> str:
    return f"{_fold(_stemmer(tag).stemWord(word))}{TAG}{tag}"


@lru_cache
def _stemmer(tag: str) -> Stemmer:
    from Stemmer import Stemmer

    return Stemmer(_STEMMERS[tag], 0)


def parted(name: str) -> str:
    """Return a name with blanks where CamelCase or digits part it: "MyCat12" -> "My Cat 12"."""
    name = unicodedata.normalize("NFKC", name)
    parts = []
    for at, letter in enumerate(name):
        before, after = name[at - 1 : at], name[at + 1 : at + 2]
        begins = letter.isupper() and (before.islower() or (before.isupper() and after.islower()))
        turns = letter.isalnum() and before.isalnum() and letter.isdigit() != before.isdigit()
        parts.append(f" {letter}" if begins or turns else letter)
    return "".join(parts)


def is_unspaced(word: str) -> bool:
    """Tell whether a word is one character of a script without spaces."""
    return _UNSPACED.match(word) is not None


def spans_of(text: str) -> list[tuple[str, str, int, int]]:
    """Return the words of a text with where they stand: (as in the index, with accents, start,
    stop)."""
    if text.isascii():
        return _spans_of_ascii(text, 0)
    found: list[tuple[str, str, int, int]] = []
    for run in re.finditer(r"\S+", text):
        of_run = _spans_of_ascii if run[0].isascii() else _spans_of_run
        found += of_run(run[0], run.start())
    return found


def _spans_of_ascii(text: str, offset: int) -> list[tuple[str, str, int, int]]:
    return [
        (word := one[0].lower(), word, offset + one.start(), offset + one.end())
        for one in _ASCII_WORD.finditer(text)
    ]


def _belongs_to_letter(character: str) -> bool:
    """Tell whether a character is a part of the letter before it: a mark, or without width."""
    return unicodedata.category(character)[0] in "MC" or character in "\uff9e\uff9f"


def _spans_of_run(run: str, offset: int) -> list[tuple[str, str, int, int]]:
    spans: list[tuple[str, int, int]] = []
    goes_on = False
    at = 0
    while at < len(run):
        end = at + 1
        while end < len(run) and _belongs_to_letter(run[end]):
            end += 1
        cleaned = _cleaned(run[at:end])
        for word in cleaned.split():
            if goes_on and not cleaned.startswith(" "):
                before, start, _ = spans.pop()
                spans.append((before + word, start, offset + end))
            else:
                spans.append((word, offset + at, offset + end))
        if cleaned:  # silent characters part no word
            goes_on = not cleaned.endswith(" ")
        at = end
    found = []
    for apart, start, stop in spans:
        split = unicodedata.normalize("NFKC", apart)
        if word := _fold(split):
            found.append((word, split, start, stop))
    return found
