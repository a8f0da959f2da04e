"""Dates: one parser for every form, names of phones, and the local time of films."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from seehear import media
from seehear.config import Settings
from seehear.media.dates import (
    CHANGED,
    DIGITIZED,
    ORIGINAL,
    choose_date,
    exif_date,
    local_time,
    name_date,
    parse_date,
    unix_date,
)
from seehear.types import SampleSpec
from tests.media import make

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
TOKYO, PARIS, KATHMANDU = (35.6595, 139.7005), (48.8584, 2.2945), (27.7172, 85.3240)


@pytest.mark.parametrize(
    ("text", "at", "precision"),
    [
        ("2024", "2024-01-01", "year"),
        ("2024-06", "2024-06-01", "month"),
        ("2024/06", "2024-06-01", "month"),
        ("2024-W24", "2024-06-10", "week"),
        ("2024W24", "2024-06-10", "week"),
        ("2020-W53-5", "2021-01-01", "day"),
        ("2024-W24-6", "2024-06-15", "day"),
        ("2024W246", "2024-06-15", "day"),
        ("2024-167", "2024-06-15", "day"),
        ("2024167", "2024-06-15", "day"),
        ("20240615", "2024-06-15", "day"),
        ("2024/06/15", "2024-06-15", "day"),
        ("2024-6-5", "2024-06-05", "day"),
        ("2024:06:15", "2024-06-15", "day"),
        ("2024.06.15", "2024-06-15", "day"),
        ("2024_06_15", "2024-06-15", "day"),
        ("15 Jun 2024", "2024-06-15", "day"),
        ("2024-02-29", "2024-02-29", "day"),
        ("2024:06:15 08:30:15", "2024-06-15 08:30:15", "time"),
        ("2024-06-15T08:30", "2024-06-15 08:30", "time"),
        ("2024-06-15T08", "2024-06-15 08:00", "time"),
        ("2024-06-15T08:30.5", "2024-06-15 08:30:30", "time"),
        ("2024-06-15 08:30:15.987", "2024-06-15 08:30:15", "time"),
        ("2024-06-15T08:30:15,123456789", "2024-06-15 08:30:15", "time"),
        ("20240615T083015", "2024-06-15 08:30:15", "time"),
        ("20240615083015", "2024-06-15 08:30:15", "time"),
        ("2024-W24-6T08:30:15", "2024-06-15 08:30:15", "time"),
        ("2024-06-15T24:00:00", "2024-06-16", "time"),
        ("2016-12-31T23:59:60Z", "2016-12-31 23:59:59", "time"),
        ("Sat Jun 15 08:30:15 2024", "2024-06-15 08:30:15", "time"),
        ("Sat, 15 Jun 2024 08:30:15 GMT", "2024-06-15 08:30:15", "time"),
        ("  2024-06-15\0", "2024-06-15", "day"),
    ],
)
def test_every_form_is_a_date(text: str, at: str, precision: str) -> None:
    found = parse_date(text)
    assert found is not None
    assert (found.at, found.precision) == (datetime.fromisoformat(at), precision)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "202", "202406", "2024-", "2024-06-", "2024-06-15x", "2024 (remaster)", "x2024",
        "2024-13", "2024-00", "2024-02-30", "2023-02-29", "2024-06-31", "20240631", "2024-W54",
        "2023-W53", "2024-W24-8", "2023-366", "2024-000", "2024-06-15T", "2024-06-15T25:00",
        "2024-06-15T24:00:01", "2024-06-15T08:60", "2024-06-15T08:30:61", "2024-06-15T8:30",
        "2024-06-15T08:30+25:00", "2024-06-15T08:30+09:75", "2024-06-15T08:30Q", "06/15/2024",
        "2024-06/15", "15.06.2024", "24-06-15", "0000", "0001-01-01", "1812-06-15", "9999-12-31",
        "133000000000000000", "2024-06-15/2024-06-17", "32 Jun 2024", "1" * 100, "2024-06-15" * 9,
    ],
)  # fmt: skip
def test_anything_else_is_no_date(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(
    ("zone", "minutes", "is_utc"),
    [
        ("Z", 0, True), (" UTC", 0, True), ("z", 0, True), ("+09:00", 540, False),
        ("+0900", 540, False), ("+09", 540, False), (" -0330", -210, False),
        ("\u221203:00", -180, False), ("+00:00", 0, False), ("+14:00", 840, False),
    ],
)  # fmt: skip
def test_zones(zone: str, minutes: int, is_utc: bool) -> None:
    found = parse_date(f"2024-06-15T08:30:15{zone}")
    assert found is not None
    assert (found.offset, found.is_utc) == (timedelta(minutes=minutes), is_utc)
    assert found.at == datetime(2024, 6, 15, 8, 30, 15)


def test_dates_of_exif() -> None:
    stated = exif_date("2024:06:15 08:30:15", "+09:00")
    assert stated is not None
    assert stated.offset == timedelta(hours=9)
    utc = exif_date("2024:06:15 08:30:15", "Z\0")
    assert utc is not None
    at, details = local_time(utc)
    assert (at, details["zone_from"]) == (datetime(2024, 6, 15, 8, 30, 15), "file")
    for blank, precision in (
        ("2024:06:    :  :  ", "month"), ("2024:  :     :  :  ", "year"),
        ("2024:06:15   :  :  ", "day"),
    ):  # fmt: skip
        found = exif_date(blank, "   :  ")
        assert found is not None
        assert found.precision == precision
    assert exif_date("    :  :     :  :  ") is None


@pytest.mark.parametrize(
    ("name", "at", "precision"),
    [
        ("IMG_20240615_123456.jpg", "2024-06-15 12:34:56", "time"),
        ("IMG_20240615_123456_1.jpg", "2024-06-15 12:34:56", "time"),
        ("MVIMG_20240615_123456.jpg", "2024-06-15 12:34:56", "time"),
        ("PXL_20240615_123456789.MP.jpg", "2024-06-15 12:34:56", "time"),
        ("VID-20240615-WA0001.mp4", "2024-06-15", "day"),
        ("PTT-20240615-WA0003.opus", "2024-06-15", "day"),
        ("IMG_20240615_0001.jpg", "2024-06-15", "day"),
        ("WhatsApp Image 2024-06-15 at 12.34.56.jpeg", "2024-06-15 12:34:56", "time"),
        ("WhatsApp Video 2024-06-15 at 1.34.56 PM (1).mp4", "2024-06-15 13:34:56", "time"),
        ("signal-2024-06-15-123456.jpg", "2024-06-15 12:34:56", "time"),
        ("signal-2024-06-15-12-34-56-789-1.jpg", "2024-06-15 12:34:56", "time"),
        ("photo_2024-06-15_12-34-56.jpg", "2024-06-15 12:34:56", "time"),
        ("Screenshot_2024-06-15-12-34-56-123_com.app.png", "2024-06-15 12:34:56", "time"),
        ("Screenshot_20240615-123456.png", "2024-06-15 12:34:56", "time"),
        ("Screenshot 2024-06-15 at 12.34.56\u202fAM.png", "2024-06-15 00:34:56", "time"),
        ("Screenshot from 2024-06-15 12-34-56.png", "2024-06-15 12:34:56", "time"),
        ("Bildschirmfoto 2024-06-15 um 12.34.56.png", "2024-06-15 12:34:56", "time"),
        ("20240615_123456.jpg", "2024-06-15 12:34:56", "time"),
        ("2024-06-15 12.34.56.jpg", "2024-06-15 12:34:56", "time"),
        ("DJI_20240615123456_0001_D.mp4", "2024-06-15 12:34:56", "time"),
        ("00000IMG_00000_BURST20240615123456789_COVER.jpg", "2024-06-15 12:34:56", "time"),
        ("FB_IMG_1718454896000.jpg", "2024-06-15 12:34:56", "time"),
        ("mmexport1718454896000.jpg", "2024-06-15 12:34:56", "time"),
    ],
)
def test_names_of_phones_and_messengers(name: str, at: str, precision: str) -> None:
    found = name_date(name)
    assert found is not None
    assert (found.at, found.precision) == (datetime.fromisoformat(at), precision)


@pytest.mark.parametrize(
    "name",
    [
        "DSC_0001.jpg", "DSC01234.JPG", "IMG_1234.jpg", "IMG_20241345_123456.jpg", "1999.mp3",
        "IMG_20240615_996000.jpg", "20240615.jpg", "report 20240615.jpg", "IMG_202406151.jpg",
        "12345678_123456.jpg", "Screenshot 2024-06-15 at 13.34.56 PM.png", "cat.jpg", "",
    ],
)  # fmt: skip
def test_other_names_have_no_date(name: str) -> None:
    assert name_date(name) is None


def at_place(text: str, *rest: object) -> tuple[str, dict[str, object]]:
    made = parse_date(text)
    assert made is not None
    at, details = local_time(made, *rest)  # type: ignore[arg-type]
    return at.isoformat(" "), dict(details)


def test_the_zone_of_the_file_comes_first() -> None:
    said = {"zone": "-03:30", "zone_from": "file"}
    assert at_place("2024-01-01T08:00:00-0330", TOKYO) == ("2024-01-01 08:00:00", said)
    assert at_place("2024-01-01T08:00:00", TOKYO) == ("2024-01-01 08:00:00", {})
    assert at_place("2024-01-01", TOKYO) == ("2024-01-01 00:00:00", {})


@pytest.mark.parametrize(
    ("place", "winter", "summer", "zone"),
    [
        (TOKYO, "2024-01-01 08:00:00", "2024-07-01 08:00:00", "Asia/Tokyo"),
        (PARIS, "2024-01-01 00:00:00", "2024-07-01 01:00:00", "Europe/Paris"),
        (KATHMANDU, "2024-01-01 04:45:00", "2024-07-01 04:45:00", "Asia/Kathmandu"),
        ((40.7, -74.0), "2023-12-31 18:00:00", "2024-06-30 19:00:00", "America/New_York"),
        ((40.0, -30.0), "2023-12-31 21:00:00", "2024-06-30 21:00:00", "Etc/GMT+2"),  # at sea
    ],
)
def test_utc_becomes_the_time_at_its_place(
    place: tuple[float, float], winter: str, summer: str, zone: str
) -> None:
    said = {"zone": zone, "zone_from": "place"}
    assert at_place("2023-12-31T23:00:00Z", place) == (winter, said)
    assert at_place("2024-06-30T23:00:00Z", place) == (summer, said)


@pytest.mark.parametrize(
    ("name", "duration_s", "zone"),
    [
        ("VID_20240101_080000.mp4", 0.0, "+09:00"),
        ("VID_20240101_075950.mp4", 0.0, "+09:00"),
        ("VID_20240101_044500.mp4", 0.0, "+05:45"),
        ("20231231_193000.mp4", 0.0, "-03:30"),
        ("VID_20240101_074000.mp4", 1200.0, "+09:00"),  # stamped when the recording ended
    ],
)
def test_a_name_tells_the_zone(name: str, duration_s: float, zone: str) -> None:
    at, details = at_place("2023-12-31T23:00:00Z", None, name, duration_s)
    assert details == {"zone": zone, "zone_from": "name"}
    assert datetime.fromisoformat(f"{at}{zone}") == datetime(2023, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    ["VID_20240101_082000.mp4", "VID_20240103_080000.mp4", "VID-20240101-WA0001.mp4", "a.mp4",
     "PXL_20240101_080000000.mp4"],
)  # fmt: skip
def test_other_names_tell_no_zone(name: str) -> None:
    assert at_place("2023-12-31T23:00:00Z", None, name)[1]["zone_from"] == "machine"


def test_the_best_date_counts() -> None:
    dates = [
        (tier, source, made)
        for tier, source, text in (
            (CHANGED, "exif", "2024-09"), (DIGITIZED, "xmp", "2024-08"),
            (ORIGINAL, "iptc", "2024-07"), (ORIGINAL, "xmp", "2024-06"),
        )
        if (made := parse_date(text))
    ]  # fmt: skip
    at, details = choose_date(dates)
    assert (at, details) == (
        datetime(2024, 7, 1), {"date_from": "iptc", "date_precision": "month"}
    )  # fmt: skip
    assert choose_date([]) == (None, {})


def test_seconds_since_1970() -> None:
    found = unix_date(1718454896.7)
    assert found is not None
    assert (found.at, found.is_utc) == (datetime(2024, 6, 15, 12, 34, 56), True)
    for seconds in (0, -1e18, 1e18, float("nan"), float("inf")):
        assert unix_date(seconds) is None


def test_a_film_without_place_has_the_time_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a worker, which gets no other environment than the zone."""
    path = make.make_video(tmp_path / "a.mp4", tags={"creation_time": "2023-12-31T23:00:00Z"})
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    infos = []
    for file in media.decode_all([path], SampleSpec(), Settings(decode_workers=1)):
        infos.append(file.info)
        assert list(file)
    (info,) = infos
    assert info is not None
    assert info.taken_at == datetime(2024, 1, 1, 4, 30)
    assert (info.details["zone"], info.details["zone_from"]) == ("+05:30", "machine")


def test_a_film_of_a_phone_is_taken_when_its_photos_are(tmp_path: Path) -> None:
    tags = {"creation_time": "2023-12-31T23:00:00Z"}
    film = make.make_video(tmp_path / "VID_20240101_080000.mp4", tags=tags)
    info = media.probe(film)
    assert info.taken_at == datetime(2024, 1, 1, 8)
    assert (info.details["date_from"], info.details["zone_from"]) == ("container", "name")
    placed = make.make_video(tmp_path / "a.mp4", tags={**tags, "location": "+35.6595+139.7005/"})
    info = media.probe(placed)
    assert info.taken_at == datetime(2024, 1, 1, 8)
    assert (info.details["zone"], info.details["zone_from"]) == ("Asia/Tokyo", "place")


def test_a_name_is_the_last_resort(tmp_path: Path) -> None:
    info = media.probe(make.make_jpeg(tmp_path / "IMG_20240615_123456.jpg"))
    assert info.taken_at == datetime(2024, 6, 15, 12, 34, 56)
    assert info.details["date_from"] == "name"
    known = make.make_jpeg(tmp_path / "IMG_20240615_123457.jpg", taken="2023:01:02 03:04:05")
    assert media.probe(known).taken_at == datetime(2023, 1, 2, 3, 4, 5)
    assert media.probe(known).details["date_from"] == "exif"
    note = tmp_path / "IMG_20240615_123456.txt"
    note.write_text("A note has no camera.")
    assert media.probe(note).taken_at is None


@pytest.mark.parametrize("zero", ["1904-01-01", "1970-01-01", "2001-01-01"])
def test_an_unset_clock_tells_no_date(zero: str) -> None:
    from seehear.media.metadata import of_tags

    dates, _ = of_tags({"creation_time": f"{zero}T00:00:00Z"}, is_video=True)
    assert dates == []
    assert of_tags({"date": zero})[0] != []


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of odd files is not here")
@pytest.mark.parametrize(
    ("name", "day"),
    [("VID_20240101_080000.mp4", "2024-01-01"), ("date_20240615.flac", "2024-06-15")],
)
def test_odd_files(name: str, day: str) -> None:
    taken = media.probe(CASES / name).taken_at
    assert taken is not None
    assert taken.date().isoformat() == day
