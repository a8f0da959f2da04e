"""Commands that ask a collection."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seehear.cli import last_search, output
from seehear.cli.options import (
    CollectionOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    SpeechModelOption,
    UnderOption,
    open_collection,
)
from seehear.cli.process import gc_paused, limit_blas_threads
from seehear.cli.show_hits import Shown, show_hits
from seehear.errors import UsageError
from seehear.limits import QueryLimits

if TYPE_CHECKING:
    from seehear.collection import Collection

FILES = ("image", "audio", "video")
AUDIO_AS = ("sound", "speech", "both")

CountOption = Annotated[
    int, typer.Option("-k", "--top", metavar="N", min=1, help="How many hits to show.")
]
KindsOption = Annotated[
    str | None,
    typer.Option(
        "--in", "--type", metavar="TYPES", help="Only these types, such as photos,videos."
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
PreviewOption = Annotated[bool, typer.Option("--preview", help="Show thumbnails in the terminal.")]
Files = list[Path] | None
RanksOption = list[int] | None


def search(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help='What to look for, or a file. Combine parts: "2:red car" + photo.jpg - night.',
        ),
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Option(
            "--text", metavar="TEXT", help="Search for these words, even if a file has this name."
        ),
    ] = None,
    image: Annotated[
        Files, typer.Option("--image", metavar="FILE", help="Search with a photo.")
    ] = None,
    audio: Annotated[
        Files, typer.Option("--audio", metavar="FILE", help="Search with a sound.")
    ] = None,
    video: Annotated[
        Files, typer.Option("--video", metavar="FILE", help="Search with a video.")
    ] = None,
    say: Annotated[
        Files,
        typer.Option(
            "--say",
            metavar="FILE",
            help="Search for the words that are said in a sound; - reads it from the input.",
        ),
    ] = None,
    audio_as: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="WHAT",
            help="What --audio asks by: sound, its speech, or both.",
        ),
    ] = "sound",
    without: Annotated[
        list[str] | None, typer.Option("--not", metavar="TEXT", help="What hits should not show.")
    ] = None,
    not_image: Annotated[
        Files,
        typer.Option("--not-image", metavar="FILE", help="A file that hits should not be like."),
    ] = None,
    weight: Annotated[
        list[float] | None,
        typer.Option(
            "--weight",
            metavar="W",
            help="How much a part counts; in the order words, photos, sounds, videos.",
        ),
    ] = None,
    k: CountOption = 10,
    kinds: KindsOption = None,
    under: UnderOption = None,
    where: WhereOption = "",
    min_score: Annotated[
        float,
        typer.Option("--min-score", metavar="S", min=0.0, max=1.0, help="Minimum score, 0 to 1."),
    ] = 0.0,
    mode: Annotated[
        str,
        typer.Option(
            "--mode",
            metavar="MODE",
            help="semantic: by meaning; words: by the words as written; auto: by both.",
        ),
    ] = "auto",
    moments: Annotated[
        int,
        typer.Option("--moments", metavar="N", min=1, help="Show up to N moments of each file."),
    ] = 1,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Show a wider range of different hits.")
    ] = False,
    show_duplicates: Annotated[
        bool, typer.Option("--show-duplicates", help="List near-identical files separately.")
    ] = False,
    like: Annotated[
        RanksOption,
        typer.Option("--like", metavar="RANK", help="More like this hit of the last search."),
    ] = None,
    unlike: Annotated[
        RanksOption,
        typer.Option("--unlike", metavar="RANK", help="Less like this hit of the last search."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Explain each score.")] = False,
    paths: PathsOption = False,
    print0: ZeroOption = False,
    open_best: OpenOption = False,
    preview: PreviewOption = False,
    sheet: SheetOption = None,
    force: ForceOption = False,
    collection: CollectionOption = None,
    speech_model: SpeechModelOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Find media by words, photos, sounds and videos."""
    limit_blas_threads()
    from seehear import query_builder

    shown = Shown(json, paths, print0, open_best, preview, sheet and sheet.expanduser(), force)
    file = query_builder.media_file(text or [])
    if file is not None:
        told = shlex.join(text or [])
        output.note(
            f"Searching with the file {output.display_path(file)}. "
            f"To search for these words use: seehear search --text {told}"
        )
    asked: dict[str, Any] = {
        "text": [] if file is not None else text or [],
        "words": words or [],
        "file": [str(file.absolute())] if file is not None else [],
        "image": [str(path.absolute()) for path in image or ()],
        "audio": [str(path.absolute()) for path in audio or ()],
        "video": [str(path.absolute()) for path in video or ()],
        "without": without or [],
        "not_image": [str(path.absolute()) for path in not_image or ()],
        "weight": weight or [],
    }
    liked: list[int] = []
    unliked: list[int] = []
    if audio_as not in AUDIO_AS:
        raise UsageError(f"--as must be sound, speech or both, not {audio_as!r}")
    with (
        gc_paused(),
        open_collection(collection, device=device, speech_model=speech_model) as library,
    ):
        spoken = [*(say or ()), *((audio or ()) if audio_as != "sound" else ())]
        asked["words"] = [*asked["words"], *(_heard(library, file) for file in spoken)]
        if audio_as == "speech":
            asked["audio"] = []
        if like or unlike:
            before, found = last_search.recall(library.folder)
            liked = last_search.segments_at(like or [], found)
            unliked = last_search.segments_at(unlike or [], found)
            asked = asked if any(asked.values()) else asked | before
        query = query_builder.build_query(
            library.file_part,
            **_asked_parts(asked),
            k=k,
            modalities=kinds,
            under=under,
            where=where,
            min_score=min_score,
            mode=mode,
            moments=moments,
            diverse=diverse,
            show_duplicates=show_duplicates,
            like=liked,
            unlike=unliked,
            explain=explain,
        )
        hits = library.run(query)
        for note in library.notes(query):
            output.note(note)
        last_search.remember(library.folder, asked, hits)
        _note_failed_files(library, [" ".join(asked["text"]), *asked["words"]])
        empty = not hits and library.is_empty
        names = [Path(name).name for kind in ("file", *FILES) for name in asked[kind]]
        title = " ".join([*asked["text"], *asked["words"], *names])
        show_hits(hits, shown, library.thumbnail, title=title, empty=empty)


def similar(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A photo, sound, video or text.")],
    k: CountOption = 10,
    kinds: KindsOption = None,
    under: UnderOption = None,
    paths: PathsOption = False,
    print0: ZeroOption = False,
    open_best: OpenOption = False,
    preview: PreviewOption = False,
    sheet: SheetOption = None,
    force: ForceOption = False,
    collection: CollectionOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Find files that are like a file.

    The file itself and its copies are left out.
    """
    from seehear.arguments import parse_modalities

    shown = Shown(json, paths, print0, open_best, preview, sheet and sheet.expanduser(), force)
    with gc_paused(), open_collection(collection, device=device) as library:
        hits = library.similar(file, k=k, modalities=parse_modalities(kinds), under=under)
        empty = not hits and library.is_empty
        show_hits(hits, shown, library.thumbnail, title=file.name, empty=empty)


def duplicates(
    kinds: KindsOption = None,
    under: UnderOption = None,
    where: WhereOption = "",
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List copies of the same content, and photos of bursts.

    A copy is the same picture, recording, film or text: in other bytes, another size or format,
    a little cropped or cut. Below the largest file of each group stand the others, and what each
    of them is. Compare them yourself before you delete any.
    """
    from seehear.arguments import parse_modalities

    with open_collection(collection) as library:
        groups = library.duplicates(modalities=parse_modalities(kinds), under=under, where=where)
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
                    "how": list(group.how),
                }
                for group in groups
            ]
        )
        return
    for group in groups:
        width = max(map(len, group.how))
        output.print_line(output.display_path(group.paths[0]))
        for path, how in zip(group.paths[1:], group.how[1:], strict=True):
            output.print_line(f"  {how:{width}}  {output.display_path(path)}")
    if not groups and not empty:
        output.note("No duplicates found.")


def _heard(library: Collection, file: Path) -> str:
    """Return the words that are said in a file, and show them. Raises UsageError for none."""
    from_input = str(file) == "-"
    name = "the input" if from_input else output.display_path(file)
    spoken = sys.stdin.buffer.read() if from_input else file.absolute()
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


def _asked_parts(asked: dict[str, Any]) -> dict[str, Any]:
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


def _note_lost_file(name: str, *, in_line: bool) -> None:
    """Tell of a word that is spelled like a path and is searched as a word."""
    from seehear import query_builder

    if not query_builder.names_file(name):
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


def _note_failed_files(library: Collection, names: list[str]) -> None:
    """Tell why a file that is asked for by its exact name cannot be among the hits."""
    from seehear import query_builder

    wanted = {name.casefold() for name in names if query_builder.names_file(name)}
    for failure in library.failures() if wanted else ():
        if failure.path.name.casefold() in wanted:
            path = output.display_path(failure.path)
            output.note(f"{path} could not be indexed: {failure.reason}")


def register(app: typer.Typer) -> None:
    for command in (search, similar, duplicates):
        app.command()(command)
