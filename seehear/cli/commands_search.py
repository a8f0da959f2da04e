"""Commands that ask a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from seehear.cli.process import gc_paused
from seehear.cli.query_options import (
    AUDIO_AS,
    AddressesOption,
    AsWrittenOption,
    AudioAsOption,
    AudioOption,
    CountOption,
    DiverseOption,
    ImageOption,
    KindsOption,
    LikeOption,
    MinScoreOption,
    ModeOption,
    MomentsOption,
    NotImageOption,
    OpenOption,
    PathsOption,
    PreviewOption,
    SayOption,
    SheetOption,
    ShowDuplicatesOption,
    TakeOption,
    TextArgument,
    UnlikeOption,
    VideoOption,
    WeightOption,
    WhereOption,
    WithoutOption,
    WordsOption,
    ZeroOption,
    add_spoken,
    collect_parts,
    make_query,
    title_of,
)
from seehear.cli.show_hits import Shown, show_hits
from seehear.errors import UsageError

if TYPE_CHECKING:
    from seehear.collection import Collection


def search(
    text: TextArgument = None,
    words: WordsOption = None,
    image: ImageOption = None,
    audio: AudioOption = None,
    video: VideoOption = None,
    say: SayOption = None,
    audio_as: AudioAsOption = "sound",
    without: WithoutOption = None,
    not_image: NotImageOption = None,
    weight: WeightOption = None,
    k: CountOption = 10,
    kinds: KindsOption = None,
    under: UnderOption = None,
    where: WhereOption = "",
    as_written: AsWrittenOption = False,
    take: TakeOption = False,
    min_score: MinScoreOption = 0.0,
    mode: ModeOption = "auto",
    moments: MomentsOption = 1,
    diverse: DiverseOption = False,
    show_duplicates: ShowDuplicatesOption = False,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Explain each score.")] = False,
    paths: PathsOption = False,
    print0: ZeroOption = False,
    addresses: AddressesOption = False,
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
    shown = Shown(
        json, paths, print0, open_best, preview, sheet and sheet.expanduser(), force, addresses
    )
    asked = collect_parts(text, words, image, audio, video, without, not_image, weight)
    if audio_as not in AUDIO_AS:
        raise UsageError(f"--as must be sound, speech or both, not {audio_as!r}")
    with (
        gc_paused(),
        open_collection(collection, device=device, speech_model=speech_model) as library,
    ):
        add_spoken(library, asked, say, audio, audio_as)
        asked, query = make_query(
            library,
            asked,
            like,
            unlike,
            where,
            as_written=as_written,
            take=take,
            k=k,
            modalities=kinds,
            under=under,
            min_score=min_score,
            mode=mode,
            moments=moments,
            diverse=diverse,
            show_duplicates=show_duplicates,
            explain=explain,
        )
        hits = library.run(query)
        for note in library.notes(query):
            output.note(note)
        last_search.remember(library.folder, asked, hits)
        _note_failed_files(library, [" ".join(asked["text"]), *asked["words"]])
        empty = not hits and library.is_empty
        show_hits(hits, shown, library.thumbnail, title=title_of(asked), empty=empty)


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
    """Find files that are like a file or a moment.

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


def _note_failed_files(library: Collection, names: list[str]) -> None:
    """Tell why a file that is asked for by its exact name cannot be among the hits."""
    from seehear import query_builder

    wanted = {name.casefold() for name in names if query_builder.names_file(name)}
    for failure in library.failures() if wanted else ():
        if failure.path.name.casefold() in wanted:
            path = output.display_path(failure.path)
            output.note(f"{path} could not be indexed: {failure.reason}")
