"""Commands that ask a collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seehear.cli import collector, last_search, output, threads
from seehear.cli.options import CollectionOption, DeviceOption, JsonOption, open_collection
from seehear.errors import UsageError

if TYPE_CHECKING:
    from seehear.collection import Collection
    from seehear.types import Hit, QueryPart

KINDS = ("image", "audio", "video", "text")
MODES = ("auto", "semantic", "words")

CountOption = Annotated[int, typer.Option("-k", metavar="N", min=1, help="How many hits.")]
KindsOption = Annotated[
    str | None, typer.Option("--in", metavar="KINDS", help="Of image,audio,video,text.")
]
UnderOption = Annotated[
    Path | None, typer.Option("--under", metavar="FOLDER", help="Only what lies below a folder.")
]
SheetOption = Annotated[
    Path | None,
    typer.Option("--sheet", metavar="FILE.html", help="Write a contact sheet for the browser."),
]
Files = list[Path] | None
Ranks = list[int] | None


def search(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", help='What you look for; or parts: "2:red car" + photo.jpg - night.'
        ),
    ] = None,
    image: Annotated[Files, typer.Option("--image", metavar="FILE", help="Ask by a photo.")] = None,
    audio: Annotated[Files, typer.Option("--audio", metavar="FILE", help="Ask by a sound.")] = None,
    video: Annotated[Files, typer.Option("--video", metavar="FILE", help="Ask by a clip.")] = None,
    without: Annotated[
        list[str] | None, typer.Option("--not", metavar="TEXT", help="What hits shall not show.")
    ] = None,
    not_image: Annotated[
        Files,
        typer.Option("--not-image", metavar="FILE", help="A file that hits shall not be like."),
    ] = None,
    weight: Annotated[
        list[float] | None,
        typer.Option(
            "--weight", metavar="W", help="Of text, photos, sounds, clips, in that order."
        ),
    ] = None,
    k: CountOption = 10,
    kinds: KindsOption = None,
    under: UnderOption = None,
    where: Annotated[
        str, typer.Option("--where", metavar="FILTER", help='Such as "taken >= 2024-06".')
    ] = "",
    min_score: Annotated[
        float, typer.Option("--min-score", metavar="S", min=0.0, max=1.0, help="Least score.")
    ] = 0.0,
    mode: Annotated[
        str, typer.Option("--mode", metavar="MODE", help=f"{', '.join(MODES)}.")
    ] = "auto",
    moments: Annotated[
        int, typer.Option("--moments", metavar="N", min=1, help="Most moments of one file.")
    ] = 1,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Spread the hits over different things.")
    ] = False,
    show_duplicates: Annotated[
        bool, typer.Option("--show-duplicates", help="List near-identical files one by one.")
    ] = False,
    like: Annotated[
        Ranks, typer.Option("--like", metavar="RANK", help="More like this hit of the last search.")
    ] = None,
    unlike: Annotated[
        Ranks, typer.Option("--unlike", metavar="RANK", help="Less like this hit of it.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say how each score came about.")
    ] = False,
    sheet: SheetOption = None,
    collection: CollectionOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Find media by words, photos, sounds and clips."""
    threads.for_queries()
    asked: dict[str, Any] = {
        "text": text or [],
        "image": [str(path.absolute()) for path in image or ()],
        "audio": [str(path.absolute()) for path in audio or ()],
        "video": [str(path.absolute()) for path in video or ()],
        "without": without or [],
        "not_image": [str(path.absolute()) for path in not_image or ()],
        "weight": weight or [],
    }
    liked: list[int] = []
    unliked: list[int] = []
    with collector.at_rest(), open_collection(collection, device=device) as library:
        if like or unlike:
            before, found = last_search.recall(library.folder)
            liked = last_search.segments_at(like or [], found)
            unliked = last_search.segments_at(unlike or [], found)
            asked = asked if any(asked.values()) else before
        from seehear.types import Mode, Query

        if mode not in MODES:
            raise UsageError(f"--mode takes {', '.join(MODES)}, not {mode!r}")
        hits = library.ask(
            Query(
                parts=tuple(_parts(library, asked)),
                k=k,
                modalities=_kinds(kinds),
                under=under.expanduser().absolute() if under else None,
                where=where,
                min_score=min_score,
                mode=Mode(mode),
                moments=moments,
                diverse=diverse,
                show_duplicates=show_duplicates,
                like=tuple(liked),
                unlike=tuple(unliked),
                explain=explain,
            )
        )
        last_search.remember(library.folder, asked, hits)
        empty = not hits and library.is_empty
    names = [Path(name).name for kind in ("image", "audio", "video") for name in asked[kind]]
    _show(hits, " ".join([*asked["text"], *names]), sheet, json, empty=empty)


def similar(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A photo, sound, clip or text.")],
    k: CountOption = 10,
    kinds: KindsOption = None,
    under: UnderOption = None,
    sheet: SheetOption = None,
    collection: CollectionOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Find what is like a file of any kind.

    The file itself and its copies are left out.
    """
    with collector.at_rest(), open_collection(collection, device=device) as library:
        hits = library.similar(file, k=k, modalities=_kinds(kinds), under=under)
        empty = not hits and library.is_empty
    _show(hits, file.name, sheet, json, empty=empty)


def duplicates(
    kinds: KindsOption = None,
    under: UnderOption = None,
    where: Annotated[
        str, typer.Option("--where", metavar="FILTER", help='Such as "taken >= 2024-06".')
    ] = "",
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List files that are the same or nearly so.

    In groups; the one to keep stands first.
    """
    with open_collection(collection) as library:
        groups = library.duplicates(modalities=_kinds(kinds), under=under, where=where)
        empty = not groups and library.is_empty
    if empty:
        output.note(output.NOTHING_INDEXED)
    if json:
        output.print_json(
            [
                {
                    "likeness": str(group.likeness),
                    "modality": str(group.modality),
                    "similarity": round(group.similarity, 4),
                    "paths": [str(path) for path in group.paths],
                }
                for group in groups
            ]
        )
        return
    for group in groups:
        print(f"{group.likeness} ({group.similarity:.3f})")
        for path in group.paths:
            print(f"  {output.shown(path)}")
    if not groups and not empty:
        output.note("no duplicates")


def _parts(library: Collection, asked: dict[str, Any]) -> list[QueryPart]:
    """The parts that the arguments name, with their weights in order."""
    from seehear.search import is_compact

    weights = list(asked["weight"])
    if any(weight <= 0 for weight in weights):
        raise UsageError("a weight is a number above 0; use --not for what hits shall not show")

    def next_weight() -> float:
        return float(weights.pop(0)) if weights else 1.0

    parts: list[QueryPart] = []
    words: list[str] = asked["text"]
    if words and is_compact(words):
        _note_lost_files(words)
        parts += library.composed(words)
    elif words:
        parts.append(library.part(" ".join(words), weight=next_weight()))
    for kind in ("image", "audio", "video"):
        parts += [
            library.part_of_file(file, weight=next_weight(), expected=kind) for file in asked[kind]
        ]
    if weights:
        raise UsageError("there are more weights than parts to weigh")
    parts += [library.part(text, exclude=True) for text in asked["without"]]
    parts += [library.part_of_file(file, exclude=True) for file in asked["not_image"]]
    return parts


def _note_lost_files(words: Sequence[str]) -> None:
    """Parts of a line that look like a file and are none: they are looked for as words."""
    from mimetypes import guess_type

    from seehear.search import parse_compact

    for wish in parse_compact(words):
        kind = (guess_type(wish.what)[0] or "").partition("/")[0]
        if kind in KINDS and not wish.quoted and not Path(wish.what).expanduser().is_file():
            output.note(f"there is no file {wish.what} here: it is looked for as words")


def _show(hits: Sequence[Hit], title: str, sheet: Path | None, json: bool, *, empty: bool) -> None:
    if empty:
        output.note(output.NOTHING_INDEXED)
    if sheet is not None:
        from seehear.cli.sheet import write_sheet

        write_sheet(sheet, title, hits)
        output.note(f"contact sheet: {output.shown(sheet)}")
    if json:
        output.print_json([output.hit_as_json(hit) for hit in hits])
    elif hits:
        output.print_hits(hits)
    elif not empty:
        output.note("nothing found")


def _kinds(text: str | None) -> frozenset[Any] | None:
    if text is None:
        return None
    from seehear.types import Modality

    kinds = {kind.strip() for kind in text.split(",")}
    if unknown := kinds - set(KINDS):
        raise UsageError(f"--in takes {','.join(KINDS)}; {sorted(unknown)[0]!r} is none of them")
    return frozenset(Modality(kind) for kind in kinds)


def register(app: typer.Typer) -> None:
    for command in (search, similar, duplicates):
        app.command()(command)
