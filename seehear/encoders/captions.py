"""Make sentences about everyday sights and sounds, to fit a bridge between two spaces.

They are combined from the word lists in captions.toml, always the same sentences in the same order:
a hash of the sentence decides which combinations are used, not a random generator whose output may
change between versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import Any

LISTS = Path(__file__).with_name("captions.toml")

DEFAULT_COUNT = 3_000
"""Several times the dimension of a sound space (512), yet minutes to embed on two cores."""

DEFAULT_DIGEST = "b624e321b84b"
"""`captions_digest` of the default sentences; a test compares it. Stated here so that a model whose
bridge is fitted already need not make the sentences to know its revision."""


@cache
def bridge_captions(count: int = DEFAULT_COUNT) -> tuple[str, ...]:
    """Return `count` different sentences, fewer if the lists have no more.

    A quarter are bare words and phrases, the rest things seen, things heard, and words with a
    quality ("red car", "sad song"). The first ones are a fair sample of all, so that a smaller
    count covers the same topics more coarsely.
    """
    import tomllib

    lists = tomllib.loads(LISTS.read_text(encoding="utf-8"))
    kinds = (
        (_bare(lists), count // 4),
        (_seen(lists), count * 3 // 10),
        (_heard(lists), count * 3 // 10),
        (_qualified(lists), count - count // 4 - 2 * (count * 3 // 10)),
    )
    chosen: set[str] = set()
    for sentences, share in kinds:
        chosen.update(sorted(set(sentences) - chosen, key=_shuffle)[:share])
    return tuple(sorted(chosen, key=_shuffle))


def captions_digest(captions: tuple[str, ...]) -> str:
    """Return a short identifier of exactly these sentences: 12 hexadecimal digits."""
    return blake2b("\n".join(captions).encode(), digest_size=6).hexdigest()


def _shuffle(sentence: str) -> bytes:
    return blake2b(sentence.encode(), digest_size=8).digest()


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _seen(lists: dict[str, Any]) -> Iterator[str]:
    for kind in lists["seen"]:
        for thing, doing, location in product(kind["things"], kind["doing"], kind["places"]):
            yield _asked(_joined(thing, doing, location), lists["asked"]["seen"])


def _heard(lists: dict[str, Any]) -> Iterator[str]:
    where, together = lists["heard_where"]["phrases"], lists["heard_together"]["phrases"]
    for phrases in lists["heard"].values():
        for phrase, circumstance in product(phrases, (*where, *together)):
            yield _asked(_joined(phrase, circumstance), lists["asked"]["heard"])


def _bare(lists: dict[str, Any]) -> Iterator[str]:
    yield from lists["words"]["nouns"]
    for kind in lists["seen"]:
        yield from kind["things"]
    for phrases in lists["heard"].values():
        yield from phrases


def _qualified(lists: dict[str, Any]) -> Iterator[str]:
    words = lists["words"]
    for noun, quality in product(words["nouns"], words["colours"] + words["moods"]):
        yield f"{quality} {noun}"


def _asked(phrase: str, forms: list[str]) -> str:
    """Put a phrase into one of the forms in which people ask, always the same one."""
    return forms[_shuffle(phrase)[0] % len(forms)].format(phrase)
