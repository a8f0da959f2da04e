"""Write moments as a list for other programs: EDL, FCPXML, OpenTimelineIO, M3U and CSV.

Editing programs count frames. Each file keeps its own frame rate where the form allows it; the
list has that of most of its files. 29.97 and 59.94 frames a second are counted with drop-frame time
code, which leaves out numbers (not frames) so that it runs with the clock:

    00:00:59;28  00:00:59;29  00:01:00;02        two numbers fewer, but in every tenth minute

The adapters of OpenTimelineIO for EDL and FCPXML write neither drop-frame time code nor a frame
rate of 29.97, so that these two forms are written here.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from seehear.errors import UsageError
from seehear.media.cut_clip import MediaTiming
from seehear.types import Hit

RATES = tuple(
    Fraction(rate)
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60",
                 "100", "120000/1001", "120")
)  # fmt: skip
AUDIO_RATE = Fraction(25)
"""Of a list without a video."""
_NEAR = 0.1
"""How far, by share, the mean of a variable rate may be from the rate that was meant."""


@dataclass(frozen=True, slots=True)
class ListedMoment:
    """One moment of a list: [start_s, stop_s) of a file, handles included."""

    hit: Hit
    path: Path
    start_s: float
    stop_s: float
    timing: MediaTiming
    address: str

    @property
    def rate(self) -> Fraction:
        """The frame rate of its file, as editing programs know it."""
        return AUDIO_RATE if self.timing.rate is None else usual_rate(self.timing.rate)

    @property
    def first_frame(self) -> int:
        """The frame of its file that is shown at its start, from 0."""
        return int(Fraction(self.start_s).limit_denominator(100_000) * self.rate + Fraction(1, 50))

    @property
    def zero_frame(self) -> int:
        """The number that the time code of its file has for the first frame."""
        return frames_of(self.timing.timecode, self.rate)

    def frames(self, rate: Fraction) -> int:
        """Return its length in frames of a rate; at least one."""
        return max(1, round((self.stop_s - self.start_s) * rate))


def usual_rate(rate: Fraction) -> Fraction:
    """Return the rate that editing programs know; a variable rate is none of theirs exactly.

    A rate far from all of them (slow motion, a webcam) stays.
    """
    nearest = min(RATES, key=lambda one: abs(one - rate))
    if abs(nearest - rate) <= _NEAR * nearest:
        return nearest
    return max(Fraction(1), rate.limit_denominator(1001))


def is_drop_frame(rate: Fraction) -> bool:
    """Return whether time code of a rate leaves out numbers: 29.97 and 59.94."""
    return rate in (Fraction(30000, 1001), Fraction(60000, 1001))


def timecode(frame: int, rate: Fraction) -> str:
    """Return the time code of a frame: 00:01:00;02 with drop-frame, else 00:01:00:00."""
    whole = round(rate)
    drops = is_drop_frame(rate)
    if drops:
        left_out = whole // 15  # 2 of 30, 4 of 60
        minute, ten = whole * 60 - left_out, whole * 600 - 9 * left_out
        tens, rest = divmod(frame, ten)
        frame += left_out * 9 * tens + left_out * max(0, (rest - left_out) // minute)
    seconds, frames = divmod(frame, whole)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    mark = ";" if drops else ":"
    return f"{hours % 24:02}:{minutes:02}:{seconds:02}{mark}{frames:0{len(str(whole - 1))}}"


def frames_of(code: str, rate: Fraction) -> int:
    """Return the frame that a time code names; 0 for none."""
    found = re.fullmatch(r"(\d{1,2}):(\d\d):(\d\d)([:;.])(\d{2,3})", code.strip())
    if found is None:
        return 0
    hours, minutes, seconds, frames = (int(found[n]) for n in (1, 2, 3, 5))
    whole = round(rate)
    frame = ((hours * 60 + minutes) * 60 + seconds) * whole + frames
    if found[4] == ";" and is_drop_frame(rate):
        minutes += hours * 60
        frame -= whole // 15 * (minutes - minutes // 10)
    return frame


def list_rate(moments: Sequence[ListedMoment]) -> Fraction:
    """Return the frame rate of most videos of a list, the first one of as many."""
    rates = Counter(one.rate for one in moments if one.timing.rate is not None)
    return max(rates, key=lambda rate: rates[rate]) if rates else AUDIO_RATE


def write_edl(moments: Sequence[ListedMoment], title: str) -> bytes:
    """Return an edit decision list (CMX 3600): all times in frames of one rate."""
    rate = list_rate(moments)
    kind = "DROP FRAME" if is_drop_frame(rate) else "NON-DROP FRAME"
    lines = [f"TITLE: {_line(title)}", f"FCM: {kind}", ""]
    at = frames_of("01:00:00;00" if is_drop_frame(rate) else "01:00:00:00", rate)
    for number, one in enumerate(moments, 1):
        length = one.frames(rate)
        start = round((one.zero_frame / one.rate + one.first_frame / one.rate) * rate)
        codes = (timecode(n, rate) for n in (start, start + length, at, at + length))
        track = {(False, True): "A", (True, False): "V"}.get(
            (one.timing.rate is not None, one.timing.channels > 0), "B"
        )
        lines.append(f"{number:03}  AX       {track:<6}C        {' '.join(codes)}")
        lines.append(f"* FROM CLIP NAME: {_line(one.path.name)}")
        lines.append(f"* SOURCE FILE: {_line(str(one.path))}")
        lines += [f"* COMMENT: {one.address}", ""]
        at += length
    return "\n".join(lines).encode("utf-8", "backslashreplace")


def write_fcpxml(moments: Sequence[ListedMoment], title: str) -> bytes:
    """Return FCPXML 1.9: each file in its own frames, the sequence in those of most."""
    rate = list_rate(moments)
    root = Element("fcpxml", version="1.9")
    resources = SubElement(root, "resources")
    first = next((one for one in moments if one.timing.rate is not None), None)
    size = (first.timing.width_px, first.timing.height_px) if first else (1920, 1080)
    formats = {(rate, *size): "r1"}
    assets: dict[Path, str] = {}
    for one in moments:
        if one.timing.rate is not None:
            shape = (one.rate, one.timing.width_px, one.timing.height_px)
            formats.setdefault(shape, f"r{len(formats) + 1}")
    for (frames, width, height), name in formats.items():
        values = {"width": str(width), "height": str(height)}
        values |= {"id": name, "frameDuration": _duration(1, frames)}
        SubElement(resources, "format", values)
    for one in moments:
        if one.path not in assets:
            assets[one.path] = f"a{len(assets) + 1}"
            _asset(resources, one, assets[one.path], formats)
    library = SubElement(root, "library")
    project = SubElement(
        SubElement(library, "event", name=_line(title)), "project", name=_line(title)
    )
    lengths = [_frames_within(one, rate) for one in moments]
    total = sum(lengths)
    sequence = SubElement(
        project, "sequence", format="r1", duration=_duration(total, rate), tcStart="0s",
        tcFormat=_count(rate),
    )  # fmt: skip
    spine = SubElement(sequence, "spine")
    at = 0
    for one, length in zip(moments, lengths, strict=True):
        clip = SubElement(
            spine, "asset-clip", ref=assets[one.path], name=_line(one.path.name),
            offset=_duration(at, rate), start=_duration(one.zero_frame + one.first_frame, one.rate),
            duration=_duration(length, rate), tcFormat=_count(one.rate),
        )  # fmt: skip
        if one.timing.rate is not None:
            clip.set("format", formats[one.rate, one.timing.width_px, one.timing.height_px])
        SubElement(clip, "note").text = one.address
        at += length
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{text}\n'.encode()


def _asset(
    resources: Element,
    one: ListedMoment,
    name: str,
    formats: dict[tuple[Fraction, int, int], str],
) -> None:
    timing = one.timing
    values = {"id": name, "name": _line(one.path.name)}
    values["start"] = _duration(one.zero_frame, one.rate)
    values["duration"] = _duration(_whole_length(one), one.rate)
    if timing.rate is not None:
        shape = (one.rate, timing.width_px, timing.height_px)
        values |= {"hasVideo": "1", "videoSources": "1", "format": formats[shape]}
    if timing.channels:
        values |= {"hasAudio": "1", "audioSources": "1", "audioChannels": str(timing.channels)}
        values["audioRate"] = str(timing.sample_rate_hz)
    asset = SubElement(resources, "asset", values)
    SubElement(asset, "media-rep", kind="original-media", src=one.path.absolute().as_uri())


def write_otio(moments: Sequence[ListedMoment], title: str) -> bytes:
    """Return an OpenTimelineIO timeline, by that library. Raises EnvironmentFaultError."""
    from seehear.libraries import require

    require("opentimelineio")
    import opentimelineio as otio

    rate = float(list_rate(moments))
    time, interval = otio.opentime.RationalTime, otio.opentime.TimeRange
    timeline = otio.schema.Timeline(_line(title), global_start_time=time(0, rate))
    for kind in ("Video", "Audio"):
        track = otio.schema.Track(kind, kind=kind)
        for one in moments:
            own = float(one.rate)
            length = time(one.frames(list_rate(moments)), rate).rescaled_to(own)
            if not (one.timing.rate is not None if kind == "Video" else one.timing.channels):
                track.append(otio.schema.Gap(source_range=interval(time(0, own), length)))
                continue
            whole = interval(time(one.zero_frame, own), time(_whole_length(one), own))
            media = otio.schema.ExternalReference(one.path.absolute().as_uri(), whole)
            told = {"seehear": {"address": one.address, "score": round(one.hit.score, 4)}}
            taken = interval(time(one.zero_frame + one.first_frame, own), length)
            track.append(otio.schema.Clip(_line(one.path.name), media, taken, told))
        if any(isinstance(item, otio.schema.Clip) for item in track):
            timeline.tracks.append(track)
    return str(otio.adapters.write_to_string(timeline, "otio_json")).encode()


def write_m3u(moments: Sequence[ListedMoment], title: str) -> bytes:
    """Return a playlist that VLC plays from moment to moment."""
    lines = [b"#EXTM3U", f"#PLAYLIST:{_line(title)}".encode()]
    for one in moments:
        name = f"{_line(one.path.name)} {one.start_s:.1f} - {one.stop_s:.1f} s"
        lines.append(f"#EXTINF:{max(1, round(one.stop_s - one.start_s))},{name}".encode())
        lines.append(f"#EXTVLCOPT:start-time={one.start_s:.3f}".encode())
        lines.append(f"#EXTVLCOPT:stop-time={one.stop_s:.3f}".encode())
        # A line cannot hold a name with a line break: its address as a file can.
        plain = os.fsencode(one.path.absolute())
        lines.append(one.path.absolute().as_uri().encode() if b"\n" in plain else plain)
    return b"\n".join(lines) + b"\n"


def write_csv(moments: Sequence[ListedMoment], title: str) -> bytes:
    """Return a table: a line for each moment, times in seconds and in time code of its file."""
    del title
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(
        ("rank", "score", "type", "path", "start_s", "stop_s", "rate", "start", "stop", "address")
    )
    for one in moments:
        first = one.zero_frame + one.first_frame
        codes = (timecode(n, one.rate) for n in (first, first + one.frames(one.rate)))
        times = (f"{one.start_s:.3f}", f"{one.stop_s:.3f}", f"{float(one.rate):.3f}")
        what = (one.hit.rank, f"{one.hit.score:.4f}", str(one.hit.modality), str(one.path))
        rows.writerow((*what, *times, *codes, one.address))
    return table.getvalue().encode("utf-8", "surrogateescape")


WRITERS: dict[str, Callable[[Sequence[ListedMoment], str], bytes]] = {
    "edl": write_edl,
    "fcpxml": write_fcpxml,
    "otio": write_otio,
    "m3u": write_m3u,
    "csv": write_csv,
}


def writer_of(name: str) -> Callable[[Sequence[ListedMoment], str], bytes]:
    """Return what writes a form. Raises UsageError for an unknown one."""
    from seehear.suggestions import did_you_mean

    if name not in WRITERS:
        known = ["clips", *WRITERS]
        raise UsageError(
            f'No format "{name}".{did_you_mean(name, known)} The formats are {", ".join(known)}'
        )
    return WRITERS[name]


def _whole_length(one: ListedMoment) -> int:
    """Return the length of its file in its frames."""
    seconds = one.timing.duration_s or one.stop_s
    return max(one.first_frame + 1, round(seconds * one.rate))


def _frames_within(one: ListedMoment, rate: Fraction) -> int:
    """Return its length in frames of a rate, not beyond the end of its file; at least one."""
    left = (_whole_length(one) - one.first_frame) / one.rate
    return max(1, min(one.frames(rate), math.floor(left * rate)))


def _duration(frames: int, rate: Fraction) -> str:
    """Return a time as FCPXML spells it: a whole number of frames, as a fraction of seconds."""
    time = frames / rate
    return f"{time.numerator}/{time.denominator}s" if time.denominator > 1 else f"{time.numerator}s"


def _count(rate: Fraction) -> str:
    return "DF" if is_drop_frame(rate) else "NDF"


def _line(text: str) -> str:
    """Return a text as one line without what XML and lists cannot hold."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return re.sub(r"[\x00-\x1f\x7f\ufffe\uffff]+", " ", clean).strip()
