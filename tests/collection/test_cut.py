"""Hits that leave: as clips in a folder, and as lists that other programs read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import av
import opentimelineio as otio
import pytest

from seehear import clip_lists
from seehear.clips import clip_name
from seehear.collection import Collection
from seehear.config import Settings
from seehear.errors import UsageError
from seehear.media.cut_clip import MediaTiming
from seehear.types import Hit, Modality, Moment
from tests.indexers.helpers import picture, sound
from tests.server.media_files import film

NTSC = Fraction(30000, 1001)
ALL_RATES = clip_lists.RATES


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("cut")
    media = folder / "media"
    film(media / "a" / "day.mp4", "green", "blue", "red")
    film(media / "b" / "day.mp4", "blue", "red", "green")
    sound(media / "siren.wav", "red", "blue", seconds=6.0)
    picture(media / "rose.png", "red")
    with Collection(folder / "collection", Settings(model="fake")) as opened:
        assert opened.index(media).failed == 0
        yield opened


def test_hits_become_clips(library: Collection, tmp_path: Path) -> None:
    hits = library.search("red", k=10, min_score=0.1)
    report = library.cut(hits, tmp_path / "clips", handles=0.5)
    assert not report.failures
    assert report.untimed == sum(hit.moment is None for hit in hits) == 1
    by_source = {clip.source: clip for clip in report.clips}
    for hit in hits:
        if hit.moment is None:
            continue
        clip = by_source[hit.path]
        start_s = hit.moment[0]
        assert clip.address == hit.moments[0].address
        assert start_s - 1.0 <= clip.start_s <= max(0.0, start_s - 0.5) + 0.001
        assert clip.path.name.startswith(f"{hit.path.stem} 00.00.0")
        with av.open(str(clip.path), "r") as opened:
            lasts_s = (opened.duration or 0) / 1e6
        assert lasts_s == pytest.approx(clip.stop_s - clip.start_s, abs=0.15)
    # Both films are called day.mp4, and the moments of one word are at different times.
    assert len({clip.path for clip in report.clips}) == len(report.clips) == 3
    for clip in report.clips:
        assert clip.to_dict()["path"] == str(clip.path)


def test_an_address_is_cut(library: Collection, tmp_path: Path) -> None:
    hit = library.search("red", modalities="video", k=1)[0]
    address = f"{hit.address.partition('#')[0]}#t=1.2,2"
    (clip,) = library.cut([address], tmp_path / "one", handles=0, tolerance=0).clips
    assert clip.path.name == "day 00.00.01.2-00.00.02.0.mp4"
    assert (clip.start_s, clip.copied) == (1.2, False)


def test_nothing_is_overwritten_unless_asked(library: Collection, tmp_path: Path) -> None:
    hits = library.search("red", modalities="audio", k=1)
    (first,) = library.cut(hits, tmp_path).clips
    first.path.write_bytes(b"mine")
    with pytest.raises(UsageError, match="already exists"):
        library.cut(hits, tmp_path)
    assert first.path.read_bytes() == b"mine"
    library.cut(hits, tmp_path, overwrite=True)
    assert first.path.read_bytes()[:4] == b"RIFF"
    table = tmp_path / "moments.csv"
    library.cut(hits, table)
    with pytest.raises(UsageError, match="already exists"):
        library.cut(hits, tmp_path, format="csv")
    library.cut(hits, tmp_path, format="csv", overwrite=True)


def test_the_source_is_never_written(library: Collection) -> None:
    (hit,) = library.search("red", modalities="audio", k=1)
    before = hit.path.read_bytes()
    with pytest.raises(UsageError, match="is the source itself"):
        library.cut([hit], hit.path, format="csv", overwrite=True)
    assert hit.path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"format": "edll"}, "Did you mean edl"),
        ({"handles": -1.0}, "handles must be from 0 to 600"),
        ({"tolerance": float("nan")}, "tolerance takes a number, not NaN"),
    ],
)
def test_wrong_values(
    library: Collection, tmp_path: Path, options: dict[str, object], told: str
) -> None:
    hits = library.search("red", modalities="audio", k=1)
    with pytest.raises(UsageError, match=told):
        library.cut(hits, tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="there is no folder"):
        library.cut(hits, tmp_path / "no" / "where")


def test_a_file_that_is_gone_is_told_and_the_rest_goes_on(
    library: Collection, tmp_path: Path
) -> None:
    hits = library.search("red", modalities=["audio", "video"], k=5)
    away = hits[0].path.rename(tmp_path / "away")
    try:
        report = library.cut(hits, tmp_path / "clips")
    finally:
        away.rename(hits[0].path)
    ((path, why),) = report.failures
    assert path == hits[0].path
    assert "cannot be opened" in why
    assert len(report.clips) == len(hits) - 1


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a:b\n<c>?", "." * 9, "ü" * 300])
def test_names_are_safe_everywhere(name: str) -> None:
    found = clip_name(f"/media/{name}.mp4" if name else "/media/.mp4", 3661.25, 3662.0)
    assert found.endswith("01.01.01.2-01.01.02.0")
    assert not set(found) & set('<>:"/\\|?*\n')
    assert len(found.encode()) < 220


def moments(rates: dict[str, Fraction | None], timecode: str = "") -> list[clip_lists.ListedMoment]:
    """Two seconds from 62.5 s of each file, in frames of a rate; None for a sound."""
    found = []
    for number, (name, rate) in enumerate(rates.items(), 1):
        video = rate is not None
        timing = MediaTiming(
            rate, 600.0, 1920 * video, 1080 * video, 2, 48_000, timecode if video else ""
        )
        kind = Modality.VIDEO if video else Modality.AUDIO
        hit = Hit(number, 0.9, 0.5, Path(f"/m/{name}"), kind, number, number, kind)
        address = f"seehear://ab/{number}#t=62.5,64.5"
        found.append(clip_lists.ListedMoment(hit, hit.path, 62.5, 64.5, timing, address))
    return found


@pytest.mark.parametrize("rate", ALL_RATES, ids=str)
def test_time_code_is_that_of_opentimelineio(rate: Fraction) -> None:
    whole = round(rate)
    drops = clip_lists.is_drop_frame(rate)
    assert drops is (rate in {NTSC, Fraction(60000, 1001)})
    edges = [m * 60 * whole + d for m in (0, 1, 2, 9, 10, 11, 59, 60, 600) for d in range(-20, 21)]
    for frame in filter(lambda n: n >= 0, edges):
        code = clip_lists.timecode(frame, rate)
        assert clip_lists.frames_of(code, rate) == frame
        if whole <= 60 and whole != 48:
            time = otio.opentime.RationalTime(frame, float(rate))
            assert code == otio.opentime.to_timecode(time, float(rate), drop_frame=drops)


def test_an_edl_counts_with_drop_frame() -> None:
    text = clip_lists.write_edl(moments({"a b.mp4": NTSC, "c.mp4": NTSC}), "red").decode()
    assert text.splitlines()[:2] == ["TITLE: red", "FCM: DROP FRAME"]
    assert "AX       B     C        00:01:02;15 00:01:04;15 01:00:00;00 01:00:02;00" in text
    assert "01:00:02;00 01:00:04;00" in text
    assert "* FROM CLIP NAME: a b.mp4" in text
    assert "seehear://ab/1#t=62.5,64.5" in text


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(50)])
def test_an_edl_is_read_by_another_program(rate: Fraction) -> None:
    text = clip_lists.write_edl(moments({"a.mp4": rate, "b.mp4": rate}), "red").decode()
    assert "NON-DROP FRAME" in text
    read = otio.adapters.read_from_string(text, "cmx_3600", rate=float(round(rate)))
    found = list(read.find_clips())
    assert [clip.name for clip in found][:2] == ["a.mp4", "b.mp4"]
    assert found[0].source_range.start_time.value == int(62.5 * rate + Fraction(1, 50))
    assert found[0].source_range.duration.value == round(2 * rate)


def test_the_time_code_of_a_camera_is_where_a_list_begins() -> None:
    listed = moments({"a.mov": Fraction(25)}, timecode="10:00:00:00")
    assert "10:01:02:12 10:01:04:12" in clip_lists.write_edl(listed, "x").decode()
    root = ElementTree.fromstring(clip_lists.write_fcpxml(listed, "x"))
    assert root.find(".//asset").get("start") == "36000s"  # type: ignore[union-attr]
    assert root.find(".//asset-clip").get("start") == "901562/25s"  # type: ignore[union-attr]


def test_fcpxml_keeps_every_rate() -> None:
    rates = {"a.mp4": NTSC, "b.mp4": NTSC, "c.mp4": Fraction(25), "d.wav": None}
    text = clip_lists.write_fcpxml(moments(rates), 'red & "blue"\x01')
    root = ElementTree.fromstring(text)
    frames = {one.get("id"): one.get("frameDuration") for one in root.iter("format")}
    assert frames == {"r1": "1001/30000s", "r2": "1/25s"}
    sequence = root.find(".//sequence")
    assert sequence is not None
    assert (sequence.get("tcFormat"), sequence.get("format")) == ("DF", "r1")
    clips = list(root.iter("asset-clip"))
    assert [one.get("tcFormat") for one in clips] == ["DF", "DF", "NDF", "NDF"]
    end = Fraction(0)
    for one in clips:
        offset, length = (Fraction((one.get(key) or "")[:-1]) for key in ("offset", "duration"))
        assert offset == end
        assert (length * NTSC).denominator == 1  # whole frames of the sequence
        end += length
    start = Fraction((clips[0].get("start") or "")[:-1])
    assert (start * NTSC).denominator == 1
    assert float(start) == pytest.approx(62.5, abs=1 / 29)
    assets = {one.get("id"): one for one in root.iter("asset")}
    assert [one.get("hasVideo") for one in assets.values()] == ["1", "1", "1", None]
    assert root.find(".//media-rep").get("src") == "file:///m/a.mp4"  # type: ignore[union-attr]


TIME = r"-?\d+(/[1-9]\d*)?s"
DTD: dict[str, tuple[str, dict[str, str]]] = {
    "fcpxml": ("resources library ", {"version!": r"1\.9"}),
    "resources": ("((asset|format) )*", {}),
    "format": ("", {"id!": r"\w+", "frameDuration": TIME, "width": r"\d+", "height": r"\d+"}),
    "asset": (
        "(media-rep )+",
        {"id!": r"\w+", "name": ".*", "start": TIME, "duration": TIME, "hasVideo": "[01]",
         "format": "r\\d+", "hasAudio": "[01]", "videoSources": r"\d+", "audioSources": r"\d+",
         "audioChannels": r"\d+", "audioRate": r"\d+"},
    ),
    "media-rep": ("", {"kind": "original-media|proxy-media", "src!": "file:///.+"}),
    "library": ("(event )*", {}),
    "event": ("(project )*", {"name": ".*"}),
    "project": ("sequence ", {"name": ".*"}),
    "sequence": (
        "spine ",
        {"format!": "r\\d+", "duration": TIME, "tcStart": TIME, "tcFormat": "DF|NDF"},
    ),
    "spine": ("(asset-clip )*", {}),
    "asset-clip": (
        "(note )?",
        {"ref!": "a\\d+", "name": ".*", "offset": TIME, "start": TIME, "duration": TIME,
         "format": "r\\d+", "tcFormat": "DF|NDF"},
    ),
    "note": ("", {}),
}  # fmt: skip
"""What version 1.9 of Apple's document type allows, of the elements that are written here: the
children in order, and the attributes with their form; "!" marks those that must be there."""


def check_fcpxml(text: bytes) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    for one in root.iter():
        children, attributes = DTD[one.tag]
        assert re.fullmatch(children, "".join(f"{child.tag} " for child in one)), one.tag
        known = {name.rstrip("!"): form for name, form in attributes.items()}
        assert set(one.keys()) <= set(known), one.tag
        assert {name[:-1] for name in attributes if name.endswith("!")} <= set(one.keys()), one.tag
        assert all(re.fullmatch(known[name], value) for name, value in one.items()), one.attrib
    names = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(set(names)) == len(names)
    told = {one.get(name) for one in root.iter() for name in ("ref", "format")} - {None}
    assert told <= set(names)
    return root


@pytest.mark.parametrize("rate", [*ALL_RATES, Fraction(15), Fraction(17, 2), None], ids=str)
def test_fcpxml_is_of_its_document_type(rate: Fraction | None) -> None:
    """Final Cut Pro refuses the whole file else; no clip goes on beyond the end of its file."""
    listed = moments({"a.mp4": rate, "<b> & 'c'.mp4": rate, "d.wav": None, "e.mov": NTSC})
    ends = [replace(one, timing=replace(one.timing, duration_s=64.49)) for one in listed]
    for some in (listed, listed[:1], [listed[0], listed[0]], ends):
        root = check_fcpxml(clip_lists.write_fcpxml(some, '<red> & "blue"'))
        assets = {one.get("id"): one for one in root.iter("asset")}
        for clip in root.iter("asset-clip"):
            asset = assets[clip.get("ref")]
            (first, length), (begin, whole) = (
                [Fraction((one.get(key) or "")[:-1]) for key in ("start", "duration")]
                for one in (clip, asset)
            )
            assert begin <= first
            assert first + length <= begin + whole
    frames = {Fraction((one.get("frameDuration") or "")[:-1]) for one in root.iter("format")}
    assert frames == {1 / one.rate for one in listed if one.timing.rate is not None}


def test_opentimelineio_reads_its_own_form() -> None:
    rates = {"a.mp4": NTSC, "b.mp4": NTSC, "d.wav": None}
    text = clip_lists.write_otio(moments(rates), "red").decode()
    timeline = otio.adapters.read_from_string(text, "otio_json")
    video, audio = timeline.tracks
    assert (video.kind, audio.kind) == ("Video", "Audio")
    assert [type(item).__name__ for item in video] == ["Clip", "Clip", "Gap"]
    first = video[0]
    assert first.source_range.start_time.rate == pytest.approx(float(NTSC))
    assert first.source_range.start_time.value == 1873
    assert first.source_range.duration.to_seconds() == pytest.approx(2.0, abs=0.02)
    assert first.metadata["seehear"]["address"] == "seehear://ab/1#t=62.5,64.5"
    assert video.duration().to_seconds() == pytest.approx(audio.duration().to_seconds(), abs=0.01)


def test_playlist_and_table() -> None:
    listed = moments({"a b.mp4": NTSC, "=d\n.wav": None})
    playlist = clip_lists.write_m3u(listed, "red").decode().splitlines()
    assert playlist[0] == "#EXTM3U"
    assert playlist[2:6] == [
        "#EXTINF:2,a b.mp4 62.5 - 64.5 s", "#EXTVLCOPT:start-time=62.500",
        "#EXTVLCOPT:stop-time=64.500", "/m/a b.mp4",
    ]  # fmt: skip
    assert playlist[-1] == "file:///m/%3Dd%0A.wav"
    rows = list(csv.DictReader(io.StringIO(clip_lists.write_csv(listed, "").decode())))
    assert rows[0]["start"] == "00:01:02;15"
    assert (rows[1]["path"], rows[1]["start"]) == ("/m/=d\n.wav", "00:01:02:12")


@pytest.mark.parametrize(
    ("stated", "usual"),
    [("29.97", "30000/1001"), ("30000/1001", "30000/1001"), ("30", "30"), ("23.98", "24000/1001"),
     ("24", "24"), ("59.9", "60000/1001"), ("25.02", "25"), ("27.4", "25"), ("28.5", "30000/1001"),
     ("15", "15"), ("240", "240")],
)  # fmt: skip
def test_stated_rates(stated: str, usual: str) -> None:
    assert clip_lists.usual_rate(Fraction(stated)) == Fraction(usual)


def test_lists_of_a_collection(library: Collection, tmp_path: Path) -> None:
    hits = library.search("red", k=10, min_score=0.1)
    for form in clip_lists.WRITERS:
        report = library.cut(hits, tmp_path / f"red.{form}", handles=0.0)
        assert (report.listed, report.list_path) == (3, tmp_path / f"red.{form}")
    rows = list(csv.DictReader((tmp_path / "red.csv").read_text("utf-8").splitlines()))
    assert {row["path"] for row in rows} == {str(hit.path) for hit in hits if hit.moment}
    assert {row["rate"] for row in rows} == {"8.000", "25.000"}
    two = replace(hits[0], moments=(
        Moment(0.0, 1.0, 1, 1, 1, Modality.AUDIO), Moment(3.0, 4.0, 1, 1, 1, Modality.AUDIO),
    ), modality=Modality.AUDIO)  # fmt: skip
    if hits[0].moment:
        assert library.cut([two], tmp_path / "two.csv").listed == 2
