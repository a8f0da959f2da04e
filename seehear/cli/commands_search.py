"""Commands that ask a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seehear.cli import output
from seehear.cli.options import CollectionOption, DeviceOption, JsonOption, open_collection
from seehear.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seehear.types import Hit

KINDS = ("image", "audio", "video", "text")

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


def search(
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What you look for.")
    ] = None,
    image: Annotated[Files, typer.Option("--image", metavar="FILE", help="Ask by a photo.")] = None,
    audio: Annotated[Files, typer.Option("--audio", metavar="FILE", help="Ask by a sound.")] = None,
    video: Annotated[Files, typer.Option("--video", metavar="FILE", help="Ask by a clip.")] = None,
    without: Annotated[
        list[str] | None, typer.Option("--not", metavar="TEXT", help="What hits shall not show.")
    ] = None,
    k: CountOption = 10,
    kinds: KindsOption = None,
    under: UnderOption = None,
    min_score: Annotated[
        float,
        typer.Option("--min-score", metavar="S", min=0.0, max=1.0, help="Least score."),
    ] = 0.0,
    sheet: SheetOption = None,
    collection: CollectionOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Find pictures, sounds, moments and passages by words, photos, sounds and clips."""
    with open_collection(collection, device=device) as library:
        hits = library.search(
            " ".join(text) if text else None,
            image=image or (),
            audio=audio or (),
            video=video or (),
            without=without or (),
            k=k,
            modalities=_kinds(kinds),
            under=under,
            min_score=min_score,
        )
    title = " ".join(
        [*(text or ()), *(p.name for p in [*(image or ()), *(audio or ()), *(video or ())])]
    )
    _show(hits, title, sheet, json)


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
    """Find what is like a file, of whatever kind it is; the file itself is left out."""
    with open_collection(collection, device=device) as library:
        hits = library.similar(file, k=k, modalities=_kinds(kinds), under=under)
    _show(hits, file.name, sheet, json)


def _show(hits: Sequence[Hit], title: str, sheet: Path | None, json: bool) -> None:
    if sheet is not None:
        from seehear.cli.sheet import write_sheet

        write_sheet(sheet, title, hits)
        output.note(f"contact sheet: {output.shown(sheet)}")
    if json:
        output.print_json([output.hit_as_json(hit) for hit in hits])
    else:
        output.print_hits(hits)


def _kinds(text: str | None) -> set[str] | None:
    if text is None:
        return None
    kinds = {kind.strip() for kind in text.split(",")}
    if unknown := kinds - set(KINDS):
        raise UsageError(f"--in takes {','.join(KINDS)}; {sorted(unknown)[0]!r} is none of them")
    return kinds


def register(app: typer.Typer) -> None:
    for command in (search, similar):
        app.command()(command)
