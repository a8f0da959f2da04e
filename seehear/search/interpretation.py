"""Find filters in the words of a query: "Rome in June 2019", "videos from my phone".

What can only be meant as a filter is taken: dates with a year or counted from today, "photos of",
"from my phone", "in the folder Vienna". What could as well be content is offered and stays in the
query: a year alone, a month, the name of a city, of a person, of a camera. Values come from the
collection itself, and a filter that no file meets is neither taken nor offered.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from seehear.search.dates_in_words import find_periods
from seehear.stores.catalog.paths import fold

NEAR_KM = 20
"""How far from the middle of a city its pictures may have been taken."""
MOST_CHARACTERS = 400
"""Of a query that is read: a longer one is content, not a wish of a person."""
MOST_WORDS = 4
"""Of the name of a camera, a person, a city or a folder."""

_KINDS = {
    "image": ("photo", "picture", "image", "pic", "snapshot", "photograph"),
    "video": ("video", "clip", "film", "movie"),
    "audio": ("sound", "recording", "song", "audio"),
    "text": ("document", "note", "text"),
}
_TOLD = {"image": "pictures", "video": "videos", "audio": "sounds", "text": "texts"}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words}
_SURE = ("image", "video", "text")
"""A film is an answer to "sounds of rain" too, if it has that sound."""
_KIND = re.compile(
    rf"^(?:(?:show\sme|find|all|my|the|some|any|an?)\s)*(?P<kind>{'|'.join(_KIND_OF)})(?P<many>s?)\b"
    r"(?P<link>\s(?:of|showing|about|where)\b)?",
    re.IGNORECASE,
)
_PHONES = re.compile(
    r"i ?phone|pixel|galaxy|\bsm-|xiaomi|redmi|\bmi \d|oneplus|huawei|honor|oppo|vivo|realme"
    r"|motorola|\bmoto\b|nokia|xperia|nexus|fairphone|phone",
    re.IGNORECASE,
)
_MADE = r"(?:(?:taken|shot|recorded|filmed|made)\s)?(?:from|on|with|by|using)\s"
_PHONE = re.compile(
    rf"(?<!\w){_MADE}(?:my|the)\s(?:mobile\sphone|cell\s?phone|smart\s?phone|phone|mobile)\b",
    re.IGNORECASE,
)
_CAMERA = re.compile(
    r"(?<!\w)(?P<made>(?:taken|shot|recorded|filmed|made)\s)?(?:from|on|with|by|using)\s"
    r"(?P<own>(?:my|the)\s)?",
    re.IGNORECASE,
)
_FOLDER = re.compile(
    r"(?<!\w)(?:in|from)\s(?:the\s|my\s)?(?:folder|directory|album)\s(?:named\s|called\s)?",
    re.IGNORECASE,
)
_WHERE = re.compile(r"(?<!\w)(?:(?:taken|shot|made)\s)?(?:in|near|around|at|from)\s", re.IGNORECASE)
_WORD = re.compile(r"[\w.&'’-]+")
_NAME = re.compile(r"(?=[^\W\d_]{3})(?![a-z])")
_LEADING = {"of", "that", "which", "showing", "where", "and"}
_TRAILING = {"and", "of", "in", "from", "on", "the"}
"""Words that a filter leaves without a meaning before and after it."""


@dataclass(frozen=True, slots=True)
class FoundFilter:
    """A filter that some words of a query name.

    `words` are those words, characters `first` to `last` of the query; `where` is the filter in the
    language of filters, `told` the same for a person. Unless it is `certain`, the words could be
    content too.
    """

    words: str
    first: int
    last: int
    where: str
    told: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What a query says: `rest` to search for, among the files that `where` leaves.

    `taken` are the filters of `where`; `offered` those that a person may take as well (`accept`);
    `unmet` those that no file meets, whose words stay in `rest`.
    """

    text: str
    rest: str
    where: str
    taken: tuple[FoundFilter, ...]
    offered: tuple[FoundFilter, ...]
    unmet: tuple[FoundFilter, ...] = ()

    @property
    def notes(self) -> list[str]:
        """Say which filters no file meets, a sentence each."""
        return [
            f'No file for the filter "{one.told}": searching for its words.' for one in self.unmet
        ]

    def accept(self, filters: Iterable[FoundFilter]) -> Interpretation:
        """Return the same query with other filters taken: any of `taken` and `offered`."""
        chosen = tuple(filters)
        left = tuple(one for one in (*self.taken, *self.offered) if one not in chosen)
        return replace(_interpretation(self.text, chosen, left), unmet=self.unmet)


@dataclass(frozen=True, slots=True)
class CollectionValues:
    """What a collection knows: the values of a facet by its name, and whether a filter is met.

    `find_city` returns latitude and longitude of a city of the world by name.
    """

    of: Callable[[str], Sequence[str]]
    is_met: Callable[[str], bool]
    find_city: Callable[[str], tuple[float, float] | None] = lambda _: None


def interpret(text: str, today: date, values: CollectionValues) -> Interpretation:
    """Return what a query of plain words says, on a day, to a collection."""
    text = " ".join(text.split())
    if len(text) > MOST_CHARACTERS:
        return Interpretation(text, text, "", (), ())
    found = _without_overlaps(
        [
            *_dates(text, today),
            *_phones(text, values),
            *_cameras(text, values),
            *_people(text, values),
            *_cities(text, values),
            *_folders(text, values),
        ]
    )
    found = _without_overlaps([*found, *_kinds(text, found)])
    met = [one for one in found if values.is_met(one.where)]
    taken = tuple(one for one in met if one.certain)
    if taken and not values.is_met(_joined(taken)):
        taken = ()  # each is met by some file, and no file meets all of them
    offered = tuple(one for one in met if one not in taken)
    unmet = tuple(one for one in found if one.certain and one not in taken and one not in offered)
    return replace(_interpretation(text, taken, offered), unmet=unmet)


def _interpretation(
    text: str, taken: tuple[FoundFilter, ...], offered: tuple[FoundFilter, ...]
) -> Interpretation:
    taken = tuple(sorted(taken, key=lambda one: one.first))
    pieces, end = [], 0
    for one in taken:
        pieces.append(text[end : one.first])
        end = one.last
    pieces.append(text[end:])
    rest = text
    if taken:
        words = (
            re.sub(",(?= ?,)", "", " ".join(" ".join(pieces).split())).replace(" ,", ",").split()
        )
        while words and taken[-1].last == len(text) and words[-1].strip(",").lower() in _TRAILING:
            del words[-1]
        while words and words[0].lower() in _LEADING:
            del words[0]
        rest = " ".join(words).strip(", ")
    return Interpretation(text, rest, _joined(taken), taken, offered)


def _joined(filters: Sequence[FoundFilter]) -> str:
    return " and ".join(one.where for one in filters)


def _without_overlaps(found: Iterable[FoundFilter]) -> list[FoundFilter]:
    """Of filters that share words keep the certain one, and of two such the longer one."""
    kept: list[FoundFilter] = []
    for one in sorted(found, key=lambda one: (not one.certain, one.first - one.last, one.first)):
        if all(one.last <= other.first or other.last <= one.first for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.first)


def _dates(text: str, today: date) -> Iterator[FoundFilter]:
    for found in find_periods(text, today):
        period = found.period
        bounds = [
            f"taken {sign} {day.isoformat()}"
            for sign, day in ((">=", period.start), ("<", period.stop))
            if day is not None
        ]
        yield FoundFilter(
            text[found.first : found.last].strip(),
            found.first,
            found.last,
            " and ".join(bounds),
            f"taken {period.told}",
            found.certain,
        )


def _kinds(text: str, others: Sequence[FoundFilter]) -> Iterator[FoundFilter]:
    """Yield the kind of file that a query begins with: "photos of a dog", "videos last summer"."""
    match = _KIND.match(text)
    if match is None:
        return
    kind = _KIND_OF[match["kind"].lower()]
    after = match.end() + len(text[match.end() :]) - len(text[match.end() :].lstrip())
    followed = bool(match["link"]) or any(one.certain and one.first == after for one in others)
    certain = bool(match["many"]) and followed and kind in _SURE
    last = match.end() if certain else match.end("many")
    yield FoundFilter(
        text[:last].strip(), 0, last, f"type = {kind}", f"{_TOLD[kind]} only", certain
    )


def _phones(text: str, values: CollectionValues) -> Iterator[FoundFilter]:
    for match in _PHONE.finditer(text):
        cameras = [name for name in values.of("camera") if _PHONES.search(name)]
        if cameras:
            yield _one_of(match[0], match.start(), match.end(), "camera", cameras, certain=True)


def _cameras(text: str, values: CollectionValues) -> Iterator[FoundFilter]:
    """Yield "with my Canon", "shot on the X100V": followed by words of the name of a camera."""
    for match in _CAMERA.finditer(text):
        for words, last in _phrases(text, match.end()):
            asked = set(fold(words).split())
            if not any(len(word) > 2 for word in asked):
                continue
            named = [name for name in values.of("camera") if asked <= set(fold(name).split())]
            if named:
                certain = bool(match["made"] or match["own"])
                yield _one_of(
                    text[match.start() : last],
                    match.start(),
                    last,
                    "camera",
                    named,
                    certain=certain,
                )
                break


def _folders(text: str, values: CollectionValues) -> Iterator[FoundFilter]:
    for pattern, certain in ((_FOLDER, True), (_WHERE, False)):
        for match in pattern.finditer(text):
            for words, last in _phrases(text, match.end()):
                if any(fold(words) == fold(_last(path)) for path in values.of("folder")):
                    yield FoundFilter(
                        text[match.start() : last],
                        match.start(),
                        last,
                        f'folder ~ "*{words}*"',
                        f"in the folder {words}",
                        certain,
                    )
                    break


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _people(text: str, values: CollectionValues) -> Iterator[FoundFilter]:
    """Yield names of people, which are looked for where a word has a capital."""
    starts = [match for match in _WORD.finditer(text) if _NAME.match(match[0])]
    people = values.of("person") if starts else ()
    called = Counter(fold(name).split()[0] for name in people if name.split())
    named = {
        word: name
        for name in people
        for word in (fold(name).split() or [""])[:1]
        if called[word] == 1
    } | {fold(name): name for name in people}
    for match in starts:
        for words, last in _phrases(text, match.start()):
            if (name := named.get(fold(words))) is not None:
                yield _one_of(words, match.start(), last, "people", [name], certain=False)
                break


def _cities(text: str, values: CollectionValues) -> Iterator[FoundFilter]:
    """Yield names of places: after "in" or "near" as they come, elsewhere with a capital."""
    after = {match.end(): match.start() for match in _WHERE.finditer(text)}
    starts = [
        match.start()
        for match in _WORD.finditer(text)
        if match.start() in after or match[0][:1].isupper()
    ]
    if not starts:
        return
    own = {
        fold(value): (field, value) for field in ("country", "city") for value in values.of(field)
    }
    for start in starts:
        for words, last in _phrases(text, start):
            wheres = []
            if (known := own.get(fold(words))) is not None:
                wheres.append(f"{known[0]} = {_quoted(known[1])}")
            is_country = known is not None and known[0] == "country"
            if not is_country and (spot := values.find_city(words)) is not None:
                wheres.append(f"near({spot[0]:.4f}, {spot[1]:.4f}, {NEAR_KM})")
            if wheres:
                first = after.get(start, start)
                where = " or ".join(wheres)
                yield FoundFilter(
                    text[first:last],
                    first,
                    last,
                    f"({where})" if len(wheres) > 1 else where,
                    f"in {words}" if known else f"within {NEAR_KM} km of {words}",
                    certain=False,
                )
                break


def _phrases(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield the words from a position on, the most first: "Rio de Janeiro", "Rio de", "Rio"."""
    ends: list[int] = []
    for match in _WORD.finditer(text, start):
        if text[ends[-1] if ends else start : match.start()].strip() or len(ends) == MOST_WORDS:
            break
        ends.append(match.end())
    for end in reversed(ends):
        yield text[start:end], end


def _one_of(
    words: str, first: int, last: int, field: str, values: Sequence[str], *, certain: bool
) -> FoundFilter:
    quoted = [_quoted(value) for value in values]
    where = f"{field} = {quoted[0]}" if len(values) == 1 else f"{field} in ({', '.join(quoted)})"
    told = f"{field} {' or '.join(values[:3])}{' ...' if len(values) > 3 else ''}"
    return FoundFilter(words.strip(), first, last, where, told, certain)


def _quoted(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'
