"""What a query is made of on the command line: the options of `search` and of `cut`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seehear.address import is_address
from seehear.cli import last_search, output
from seehear.errors import UsageError
from seehear.limits import QueryLimits
from seehear.sources import path_of

if TYPE_CHECKING:
    from seehear.collection import Collection
    from seehear.types import Query

FILES = ("image", "audio", "video")
AUDIO_AS = ("sound", "speech", "both")

CountOption = Annotated[
    int, typer.Option("-k", "--top", "--count", metavar="N", min=1, help="How many hits to show.")
]
KindsOption = Annotated[
    str | None,
    typer.Option(
        *("--in", "--kinds", "--type"),
        metavar="KINDS",
        help="Only these kinds, such as photos,videos.",
    ),
]
WhereOption = Annotated[
    str,
    typer.Option(
        "--where", metavar="FILTER", help='Only files that match, such as "taken >= 2024-06".'
    ),
]
SheetOption = Annotated[
    Path | None,
    typer.Option(
        "--sheet", metavar="FILE.html", help="Write a web page with pictures of the hits."
    ),
]
PathsOption = Annotated[bool, typer.Option("--paths", help="Print only the paths, one per line.")]
ZeroOption = Annotated[
    bool,
    typer.Option("-0", "--print0", help="Like --paths, for xargs -0: paths end with a zero byte."),
]
OpenOption = Annotated[
    bool, typer.Option("--open", help="Open the best hit with the program of your system.")
]
AddressesOption = Annotated[
    bool,
    typer.Option("--addresses", help="Print only the addresses of the moments, one per line."),
]
PreviewOption = Annotated[bool, typer.Option("--preview", help="Show thumbnails in the terminal.")]
Files = list[Path] | None
HitsOption = list[str] | None
TextArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT",
        help='What to look for, or a file. Combine parts: "2:red car" + photo.jpg - night.',
    ),
]
WordsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--text", metavar="TEXT", help="Search for these words, even if a file has this name."
    ),
]
ImageOption = Annotated[Files, typer.Option("--image", metavar="FILE", help="Search with a photo.")]
AudioOption = Annotated[Files, typer.Option("--audio", metavar="FILE", help="Search with a sound.")]
VideoOption = Annotated[Files, typer.Option("--video", metavar="FILE", help="Search with a video.")]
SayOption = Annotated[
    Files,
    typer.Option(
        "--say",
        metavar="FILE",
        help="Search for the words that are said in a sound; - reads it from the input.",
    ),
]
AudioAsOption = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="WHAT",
        help="What --audio asks by: sound, its speech, or both.",
    ),
]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--not", "--without", metavar="TEXT", help="What hits should not show."),
]
NotImageOption = Annotated[
    Files,
    typer.Option(
        *("--not-image", "--without-file"),
        metavar="FILE",
        help="A file that hits should not be like.",
    ),
]
WeightOption = Annotated[
    list[float] | None,
    typer.Option(
        "--weight",
        metavar="W",
        help="How much a part counts; in the order words, photos, sounds, videos.",
    ),
]
AsWrittenOption = Annotated[
    bool,
    typer.Option("--as-written", help="Search for all words; make no filter of any of them."),
]
TakeOption = Annotated[
    bool, typer.Option("--take", help="Also make filters of words that are only offered as such.")
]
MinScoreOption = Annotated[
    float,
    typer.Option("--min-score", metavar="S", min=0.0, max=1.0, help="Minimum score, 0 to 1."),
]
ModeOption = Annotated[
    str,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="semantic: by meaning; words: by the words as written; auto: by both.",
    ),
]
MomentsOption = Annotated[
    int,
    typer.Option("--moments", metavar="N", min=1, help="Show up to N moments of each file."),
]
DiverseOption = Annotated[
    bool, typer.Option("--diverse", help="Show a wider range of different hits.")
]
ShowDuplicatesOption = Annotated[
    bool, typer.Option("--show-duplicates", help="List near-identical files separately.")
]
LikeOption = Annotated[
    HitsOption,
    typer.Option(
        "--like",
        metavar="RANK",
        help="More like this hit of the last search, or like the moment of an address.",
    ),
]
UnlikeOption = Annotated[
    HitsOption,
    typer.Option("--unlike", metavar="RANK", help="Less like this hit, or this address."),
]


def collect_parts(
    text: list[str] | None,
    words: list[str] | None,
    image: Files,
    audio: Files,
    video: Files,
    without: list[str] | None,
    not_image: Files,
    weight: list[float] | None,
) -> dict[str, Any]:
    """Return what the arguments of a command ask with, ready to be remembered."""
    from seehear import query_builder

    file = query_builder.media_file(text or [])
    if file is not None and not is_address(file):
        told = shlex.join(text or [])
        output.note(
            f"Searching with the file {output.display_path(file)}. "
            f"To search for these words use: seehear search --text {told}"
        )
    return {
        "text": [] if file is not None else text or [],
        "words": words or [],
        "file": [_full_name(file)] if file is not None else [],
        "image": [_full_name(path) for path in image or ()],
        "audio": [_full_name(path) for path in audio or ()],
        "video": [_full_name(path) for path in video or ()],
        "without": without or [],
        "not_image": [_full_name(path) for path in not_image or ()],
        "weight": weight or [],
    }


def add_spoken(
    library: Collection, asked: dict[str, Any], say: Files, audio: Files, audio_as: str
) -> None:
    """Add the words that are said in files. Raises UsageError where nothing is said."""
    spoken = [*(say or ()), *((audio or ()) if audio_as != "sound" else ())]
    asked["words"] = [*asked["words"], *(_heard(library, file) for file in spoken)]
    if audio_as == "speech":
        asked["audio"] = []


def _refine(
    library: Collection, asked: dict[str, Any], like: HitsOption, unlike: HitsOption
) -> tuple[dict[str, Any], list[int], list[int]]:
    """Return what is asked with, and the segments to find more and less like.

    Ranks are those of the last search, whose query is asked again where there is no other.
    """
    ranks: dict[int, int] = {}
    if not all(map(is_address, [*(like or ()), *(unlike or ())])):
        before, ranks = last_search.recall(library.folder)
        asked = asked if any(asked.values()) else asked | before
    liked, unliked = (
        [_liked(library, one, ranks) for one in given or ()] for given in (like, unlike)
    )
    return asked, liked, unliked


def _with_filters(library: Collection, asked: dict[str, Any], where: str, *, take: bool) -> str:
    """Take the filters that the words of a query name; return the whole filter, and tell of it."""
    from seehear.search import is_compact

    words = " ".join(asked["text"])
    if not words.strip() or is_compact(asked["text"]):
        return where
    read = library.interpret(words)
    if take:
        read = read.accept([*read.taken, *read.offered])
    if read.taken:
        told = ", ".join(one.told for one in read.taken)
        output.note(f"Filter: {told}. To search for all words use --as-written.")
        asked["text"] = [read.rest or words]
    for note in read.notes:
        output.note(note)
    if read.offered:
        told = ", ".join(f"{one.told} ({one.words})" for one in read.offered)
        output.note(f"Also possible as a filter: {told}. To use it add --take.")
    if not (where and read.where):
        return where or read.where
    return f"({where}) and ({read.where})"


def make_query(
    library: Collection,
    asked: dict[str, Any],
    like: HitsOption,
    unlike: HitsOption,
    where: str,
    *,
    as_written: bool,
    take: bool,
    **options: Any,
) -> tuple[dict[str, Any], Query]:
    """Return what is asked with, and the query; `options` are those of `build_query`."""
    from seehear import query_builder

    asked, liked, unliked = _refine(library, asked, like, unlike)
    if not as_written:
        where = _with_filters(library, asked, where, take=take)
    parts = _query_parts(asked)
    return asked, query_builder.build_query(
        library.file_part, **parts, where=where, like=liked, unlike=unliked, **options
    )


def title_of(asked: dict[str, Any]) -> str:
    """Return a query as the title of what is made of its hits."""
    names = [Path(name).name for kind in ("file", *FILES) for name in asked[kind]]
    return " ".join([*asked["text"], *asked["words"], *names])


def _query_parts(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what the arguments of a search ask for, as the query builder spells it."""
    from seehear.search import is_compact, parse_compact

    words: list[str] = asked["text"]
    in_line = is_compact(words)
    for name in (
        [term.what for term in parse_compact(words) if not term.quoted] if in_line else words
    ):
        _note_lost_file(name, in_line=in_line)
    return {
        "line": words if in_line else (),
        "text": [*([" ".join(words)] if words and not in_line else []), *asked["words"]],
        "files": asked["file"],
        **{kind: asked[kind] for kind in FILES},
        "weights": asked["weight"],
        "without": asked["without"],
        "without_files": asked["not_image"],
    }


def _full_name(file: Path) -> str:
    return str(file) if is_address(file) else str(path_of(file).absolute())


def _note_lost_file(name: str, *, in_line: bool) -> None:
    """Tell of a word that is spelled like a path and is searched as a word."""
    from seehear import query_builder

    if is_address(name) or not query_builder.names_file(name):
        return
    if query_builder.is_file(name):
        if not in_line:
            output.note(
                f"Searching for {name} as words. For the file use --image, --audio, --video."
            )
    elif os.path.isdir(os.path.expanduser(name)):  # noqa: PTH111, PTH112 - these raise nothing
        output.note(f"Searching for {name} as words. To search only in the folder use --under.")
    else:
        output.note(f"No file {name} here. Searching for it as words.")


def _heard(library: Collection, file: Path) -> str:
    """Return the words that are said in a file, and show them. Raises UsageError for none."""
    from_input = str(file) == "-"
    name = "the input" if from_input else output.display_path(file)
    spoken = sys.stdin.buffer.read() if from_input else _full_name(file)
    reading = library.hear(spoken, most_s=QueryLimits().said_s)
    if not reading.text:
        raise UsageError(
            f"nothing said in {name}; to search by how it sounds use --audio {shlex.quote(name)}"
            if not from_input
            else "nothing said in the input"
        )
    language = f" ({reading.language})" if reading.language else ""
    output.note(f'heard: "{reading.text}"{language}')
    return reading.text


def _liked(library: Collection, named: str, ranks: dict[int, int]) -> int:
    """Return the segment that an address or a rank of the last search names."""
    if is_address(named):
        return library.hit_at(named).segment_id
    if not named.strip().isdecimal():
        raise UsageError(f"--like takes the rank of a hit or an address, not {named!r}")
    return last_search.segments_at([int(named)], ranks)[0]
