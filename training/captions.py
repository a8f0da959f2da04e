"""Make the sentences to learn from: captions, labels in sentences, class names, words, phrases."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from training.shards import ShardItem, read_items, read_sentences

IMAGE_TEMPLATES = (
    "{a}",
    "a photo of {a}",
    "a picture of {a}",
    "{label}",
    "a photo of the {label}",
    "{label} in a photo",
    "a close-up of {a}",
)
AUDIO_TEMPLATES = (
    "{label}",
    "the sound of {label}",
    "a recording of {label}",
    "{label} can be heard",
    "{label} in the background",
)
DOMAIN_TEMPLATES = {
    "photo": ("a photo of {a}", "{a}"),
    "art painting": ("a painting of {a}", "an artwork showing {a}", "{a}"),
    "cartoon": ("a cartoon of {a}", "a cartoon drawing of {a}", "{a}"),
    "sketch": ("a sketch of {a}", "a pencil drawing of {a}", "{a}"),
    "emoji": ("an emoji of {a}", "{a}", "{label}", "{label} emoji", "an icon of {a}"),
    "icon": ("an icon of {a}", "{label}", "{label} icon", "a drawing of {a}"),
}
CLASS_SENTENCES = {"images": "a photo of {a}", "audio": "{label}"}
"""The one sentence per class that zero-shot evaluation asks with."""

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey",
)  # fmt: skip

_DOMAIN_OF_SET = {"emoji-noto": "emoji", "emoji-emojitwo": "emoji", "game-icons": "icon"}
_UNCOUNTED = re.compile(r"(s|ing|water|rain|snow|fog|hair|sushi|bread|milk|juice|art)$")
_FUNCTION_WORDS = """
a an the of in on at to and or with by for from is are was were his her its their it he she
they as that this while up down into over under out off who which there be being has have
some one two
"""
_STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


def with_article(label: str) -> str:
    """Put "a" or "an" before a label; plurals and substances stay as they are."""
    first = label.split(" ", 1)[0].lower()
    if first in {"a", "an", "the", "two", "some"} or (
        _UNCOUNTED.search(label.lower()) and not label.lower().endswith(("ss", "us"))
    ):
        return label
    return f"{'an' if first[:1] in 'aeiou' else 'a'} {label}"


def fill(template: str, label: str) -> str:
    """Put a label into a template with `{a}` (with its article) or `{label}` (bare)."""
    return template.replace("{a}", with_article(label)).replace("{label}", label)


def image_captions(item: ShardItem) -> list[str]:
    """List all true sentences about an image of the shards, best first."""
    found = list(item.captions)
    for label in dict.fromkeys(filter(None, (item.label, *item.names))):
        domain = item.domain or _DOMAIN_OF_SET.get(item.dataset, "")
        templates = DOMAIN_TEMPLATES.get(domain, IMAGE_TEMPLATES)
        found.extend(fill(template, label) for template in templates)
    if item.keywords and item.label:
        found.append(f"{item.label}, {', '.join(item.keywords[:4])}")
    return list(dict.fromkeys(found))


def audio_captions(item: ShardItem) -> list[str]:
    """List all true sentences about a sound of the shards, best first."""
    found = list(item.captions)
    if item.label:
        found.extend(fill(template, item.label) for template in AUDIO_TEMPLATES)
    return list(dict.fromkeys(found))


def imagenet_names(path: Path) -> list[str]:
    """Read the first name of each of the teacher's 1,000 image classes, without the background."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = [line.split(",")[0].strip() for line in lines[1:] if line.strip()]
    # Two pairs of classes share a name (crane, maillot); the synonym tells them apart.
    counts = {name: names.count(name) for name in names}
    return [
        line.strip().replace(", ", " or ", 1) if counts[name] > 1 else name
        for line, name in zip(lines[1:], names, strict=True)
    ]


def audioset_names(path: Path) -> list[str]:
    """Read the display names of the teacher's 521 sound classes."""
    with path.open(encoding="utf-8", newline="") as handle:
        return [row["display_name"] for row in csv.DictReader(handle)]


def phrases(sentences: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """Cut short queries out of sentences: two to five words, no function word at either end."""
    found: dict[str, None] = {}
    for _ in range(count * 8):
        words = re.findall(r"[a-z'-]+", rng.choice(sentences).lower())
        length = rng.randint(2, 5)
        if len(words) < length:
            continue
        start = rng.randrange(len(words) - length + 1)
        piece = words[start : start + length]
        if piece[0] not in _STOP_WORDS and piece[-1] not in _STOP_WORDS:
            found[" ".join(piece)] = None
        if len(found) == count:
            break
    return list(found)


def swapped(sentence: str, nouns: Sequence[str], rng: random.Random) -> str | None:
    """Return a sentence with another colour, or else another noun; None where it has neither.

    It is nearly the same sentence, and wrong for what the first one describes.
    """
    words = sentence.split(" ")
    for kind in (COLOURS, nouns):
        places = [at for at, word in enumerate(words) if word.lower() in kind]
        if places:
            at = rng.choice(places)
            others = [word for word in kind if word != words[at].lower()]
            return " ".join([*words[:at], rng.choice(others), *words[at + 1 :]])
    return None


def word_mixtures(words: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """Put random words side by side: the text tower learns to add meanings it never saw joined."""
    return [" ".join(rng.sample(words, rng.randint(2, 4))) for _ in range(count)]


def corpus(
    data: Path,
    words: Sequence[str],
    *,
    phrases_count: int,
    mixtures_count: int,
    seed: int,
    sets: Sequence[str] = (),
) -> list[str]:
    """Collect the distinct sentences for the text tower, in an order drawn from `seed`.

    Captions of the held-out splits are not among them. With `sets`, only what these sets say is;
    `ShardItem.is_of` tells how they are named.
    """
    rng = random.Random(seed)
    captions = [] if sets else [*read_sentences(data, "picture"), *read_sentences(data, "sound")]
    found: dict[str, None] = dict.fromkeys(captions)
    for kind, describe in (("images", image_captions), ("audio", audio_captions)):
        for item, _ in read_items(data, kind):
            if item.split == "train" and (not sets or item.is_of(sets)):
                found |= dict.fromkeys(describe(item))
                captions += item.captions if sets else ()
    found |= dict.fromkeys(class_sentences(data))
    found |= dict.fromkeys(words)
    if captions:
        found |= dict.fromkeys(phrases(captions, phrases_count, rng))
    if len(words) > 8:
        found |= dict.fromkeys(word_mixtures(words, mixtures_count, rng))
    sentences = list(found)
    rng.shuffle(sentences)
    return sentences


def class_sentences(data: Path) -> Iterable[str]:
    """List the names of the teachers' classes, alone and in the sentences of distillation."""
    imagenet = data / "teachers" / "imagenet_labels.txt"
    if imagenet.is_file():
        for name in imagenet_names(imagenet):
            yield from (fill(template, name) for template in IMAGE_TEMPLATES[:4])
        for line in imagenet.read_text(encoding="utf-8").splitlines()[1:]:
            yield from (synonym.strip() for synonym in line.split(","))
    audioset = data / "teachers" / "yamnet_classes.csv"
    if audioset.is_file():
        for name in audioset_names(audioset):
            lower = name.lower()
            yield from (name, lower, fill(AUDIO_TEMPLATES[1], lower))
            yield from (part.strip() for part in lower.split(","))
