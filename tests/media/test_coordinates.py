"""Coordinates in every spelling: EXIF, XMP and ISO 6709."""

from __future__ import annotations

import pytest

from seehear.media.coordinates import exif_coordinates, iso_6709, point_of, xmp_coordinates


@pytest.mark.parametrize(
    ("text", "latitude", "longitude"),
    [
        ("+35.6595+139.7005/", 35.6595, 139.7005),
        ("-33.8568+151.2153", -33.8568, 151.2153),
        ("+48.8584+2.2945/", 48.8584, 2.2945),
        ("+3539.57+13942.03/", 35.6595, 139.7005),
        ("+353934.2-0700130.5+12CRSWGS_84/", 35.6595, -70.025139),
        ("+35.6595+139.7005+30.000000/Tokyo", 35.6595, 139.7005),
    ],
)
def test_iso_6709(text: str, latitude: float, longitude: float) -> None:
    details = iso_6709(text)
    assert details["latitude"] == pytest.approx(latitude, abs=1e-6)
    assert details["longitude"] == pytest.approx(longitude, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    ["+00.0000+000.0000/", "+0-0/", "+91.0+10/", "+10.0+181/", "+123.0+10.0/", "Tokyo", "+10.0",
     "+10.0+20.0 and more", "+1" * 100, ""],
)  # fmt: skip
def test_no_place_in_iso_6709(text: str) -> None:
    assert iso_6709(text) == {}


@pytest.mark.parametrize(
    ("north_south", "east_west", "signs"),
    [
        ("N", "E", (1, 1)), ("S", "W", (-1, -1)), ("s", "w", (-1, -1)), ("South", "West", (-1, -1)),
        ("north ", " east", (1, 1)), (b"S\x00", b"W\x00\x00", (-1, -1)), (None, None, (1, 1)),
    ],
)  # fmt: skip
def test_hemispheres_in_any_spelling(
    north_south: object, east_west: object, signs: tuple[int, int]
) -> None:
    gps = {1: north_south, 2: (33, 51, 24.48), 3: east_west, 4: (151, 12, 55.08)}
    details = exif_coordinates({key: value for key, value in gps.items() if value is not None})
    assert details["latitude"] == pytest.approx(signs[0] * 33.8568)
    assert details["longitude"] == pytest.approx(signs[1] * 151.2153)


def test_zero_zero_is_no_place() -> None:
    assert exif_coordinates({1: "N", 2: (0, 0, 0), 3: "E", 4: (0, 0, 0)}) == {}
    assert xmp_coordinates("0,0.0N", "0,0.0E") == {}
    assert exif_coordinates({1: "N", 2: (0, 0, 0), 3: "E", 4: (9, 0, 0)})["longitude"] == 9.0


@pytest.mark.parametrize(
    ("latitude", "longitude", "found"),
    [
        ("35,39.57N", "139,42.03E", (35.6595, 139.7005)),
        ("33,51,24.48S", "151,12,55.08W", (-33.8568, -151.2153)),
        ("35.6595", "-139.7005", (35.6595, -139.7005)),
        ("35,39.57n", "139,42.03 East", (35.6595, 139.7005)),
        ("35,39.57E", "139,42.03N", None),
        ("35,39.57N", "", None),
        ("95,0N", "10,0E", None),
    ],
)
def test_coordinates_of_xmp(
    latitude: str, longitude: str, found: tuple[float, float] | None
) -> None:
    details = xmp_coordinates(latitude, longitude)
    if found is None:
        assert details == {}
    else:
        assert point_of(details) == pytest.approx(found, abs=1e-6)
