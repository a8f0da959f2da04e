"""Commands about moments: show what an address names, cut hits into clips or lists, and look
for what stands apart and what stands for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seehear.cli import output
from seehear.cli.options import (
    CollectionOption,
    DeviceOption,
    JsonOption,
    UnderOption,
    open_collection,
)
from seehear.cli.output import clock, counted, display_path
from seehear.cli.process import gc_paused
from seehear.cli.query_options import (
    AsWrittenOption,
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
    PreviewOption,
    ShowDuplicatesOption,
    TakeOption,
    TextArgument,
    UnlikeOption,
    VideoOption,
    WeightOption,
    WhereOption,
    WithoutOption,
    WordsOption,
    collect_parts,
    make_query,
    title_of,
)
from seehear.errors import SeehearError, UsageError
from seehear.serialize import asset_to_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seehear.clips import CutReport
    from seehear.search import TypicalFile, UnusualFile

FolderArgument = Annotated[
    Path | None, typer.Argument(metavar="FOLDER", help="Only files in this folder and below it.")
]


def show(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="Address of a moment, such as seehear://4d0f8c21a97be356/123#t=12.5,19.",
        ),
    ],
    open_it: Annotated[
        bool, typer.Option("--open", help="Open it: with mpv or VLC at its time, if one is there.")
    ] = False,
    preview: PreviewOption = False,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Show what the address of a moment names.

    Its file, its time and its words.
    `seehear search --addresses` prints addresses, and so do --json, Python, HTTP and assistants.
    """
    if json and preview:
        raise UsageError("Use either --json or --preview, not both")
    with open_collection(collection) as library:
        hit = library.hit_at(address)
        asset = library.asset(hit.asset_id)
        assert asset is not None
        if json:
            facts = asset_to_dict(asset) | {"path": str(hit.path), "address": hit.address}
            told = {"start_s": hit.start_s, "stop_s": hit.stop_s, "page": hit.page}
            output.print_json(facts | told | {"text": hit.text})
        else:
            rows: dict[str, Any] = {
                "file": display_path(hit.path),
                "type": f"{asset.modality} ({asset.format})",
                "moment": hit.moment and " - ".join(map(clock, hit.moment)),
                "page": hit.page,
                "length": asset.duration_s and clock(asset.duration_s),
                "taken": asset_to_dict(asset)["taken_at"],
                "text": hit.text and " ".join(hit.text.split()),
            }
            for name, value in rows.items():
                if value:
                    output.print_line(f"{name:<8}{value}")
        if preview:
            from seehear.cli.preview import previews

            drawn = (draw := previews(library.thumbnail)) and draw(hit)
            output.write_lines([drawn] if drawn else [])
        if open_it:
            from seehear.cli.show_hits import open_file

            open_file(hit)


def cut(
    text: TextArgument = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="PATH",
            help="Folder for the clips, or the file of a list, such as moments.edl.",
        ),
    ] = None,
    moment: Annotated[
        list[str] | None,
        typer.Option("--moment", metavar="ADDRESS", help="Cut this moment, without a search."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="clips, or a list: edl, fcpxml, otio, m3u or csv (default: by the name in --to).",
        ),
    ] = None,
    handles: Annotated[
        float,
        typer.Option("--handles", metavar="S", help="Seconds to add before and after each moment."),
    ] = 1.0,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            metavar="S",
            help="How much earlier a clip may begin so that it is copied; 0 is exact.",
        ),
    ] = 0.5,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", "--force", help="Replace files that exist.")
    ] = False,
    words: WordsOption = None,
    image: ImageOption = None,
    audio: AudioOption = None,
    video: VideoOption = None,
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
    collection: CollectionOption = None,
    device: DeviceOption = None,
    json: JsonOption = False,
) -> None:
    """Cut what a search finds into clips, or a list.

    Frames and sound are copied where a key frame is near enough, and encoded again elsewhere. A
    list (EDL, FCPXML, OpenTimelineIO, M3U, CSV) leaves the media where they are.
    """
    if to is None:
        raise UsageError("Say where to with --to, such as --to clips or --to moments.edl")
    asked = collect_parts(text, words, image, audio, video, without, not_image, weight)
    with gc_paused(), open_collection(collection, device=device) as library:
        hits = [library.hit_at(address) for address in moment or ()]
        if any(asked.values()) or like or unlike or not hits:
            asked, query = make_query(
                library,
                asked,
                like,
                unlike,
                where,
                as_written=as_written,
                take=take,
                k=k,
                modalities=kinds or "audio,video",
                under=under,
                min_score=min_score,
                mode=mode,
                moments=moments,
                diverse=diverse,
                show_duplicates=show_duplicates,
            )
            hits += library.run(query)
        report = library.cut(
            hits,
            to,
            format=form,
            handles=handles,
            tolerance=tolerance,
            overwrite=overwrite,
            title=title_of(asked) or "seehear",
        )
    _print_cut(report, as_json=json)


def _print_cut(report: CutReport, *, as_json: bool) -> None:
    """Print what was written; notes say what was not. Raises SeehearError if nothing was."""
    if as_json:
        output.print_json(
            {
                "clips": [clip.to_dict() for clip in report.clips],
                "list": report.list_path and str(report.list_path),
                "listed": report.listed,
                "untimed": report.untimed,
                "failures": [{"path": str(path), "reason": why} for path, why in report.failures],
            }
        )
    else:
        for clip in report.clips:
            output.print_line(display_path(clip.path))
        if report.list_path:
            output.print_line(display_path(report.list_path))
    copied = sum(clip.copied for clip in report.clips)
    if report.clips:
        encoded = len(report.clips) - copied
        output.note(f"{counted(len(report.clips), 'clip')}: {copied} copied, {encoded} encoded")
    if report.list_path:
        output.note(f"{counted(report.listed, 'moment')} in {display_path(report.list_path)}")
    if report.untimed:
        output.note(f"{counted(report.untimed, 'hit')} without a moment, such as photos and texts")
    for path, why in report.failures:
        output.note(f"not cut: {display_path(path)}: {why}")
    if not report.clips and not report.list_path:
        raise SeehearError("Nothing was cut: no hit is a sound or a video that can be read")


def unusual(
    folder: FolderArgument = None,
    k: CountOption = 10,
    kinds: KindsOption = None,
    where: WhereOption = "",
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List files that stand apart from the rest.

    Each kind has its own list. The first number says how far a file is from the usual: 0 is usual,
    above 3 is rarely chance. The second one is the mean cosine to its 10 nearest files.
    """
    with gc_paused(), open_collection(collection) as library:
        found = library.unusual(k=k, modalities=kinds, under=folder, where=where)
        empty = not found and library.is_empty
    rows = [f"{one.apart:4.1f}  {one.similarity:.2f}" for one in found]
    _print_found(found, rows, as_json=json, empty=empty)


def typical(
    folder: FolderArgument = None,
    k: CountOption = 10,
    kinds: KindsOption = None,
    where: WhereOption = "",
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List files that stand for the rest.

    Each kind has its own list of files that together are near to all. The number says for what
    share of the files each one stands.
    """
    with gc_paused(), open_collection(collection) as library:
        found = library.typical(k=k, modalities=kinds, under=folder, where=where)
        empty = not found and library.is_empty
    rows = [f"{one.share:4.0%}" for one in found]
    _print_found(found, rows, as_json=json, empty=empty)


def _print_found(
    found: Sequence[UnusualFile | TypicalFile],
    rows: Sequence[str],
    *,
    as_json: bool,
    empty: bool,
) -> None:
    if as_json:
        output.print_json([one.to_dict() for one in found])
    elif empty:
        output.note(output.NOTHING_INDEXED)
    elif not found:
        output.note("Too few files of a kind to compare.")
    else:
        for one, row in zip(found, rows, strict=True):
            output.print_line(f"{row}  {one.modality:5}  {display_path(one.path)}")
