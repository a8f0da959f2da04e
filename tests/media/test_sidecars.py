"""What lies beside a photo or a film and describes it: XMP, and Google Takeout's JSON."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from seehear import media
from seehear.config import Settings
from seehear.media.sidecars import MOST_BYTES, read_takeout
from seehear.types import MediaInfo, SampleSpec
from tests.media import make

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:e="http://ns.adobe.com/exif/1.0/" xmlns:d="http://purl.org/dc/elements/1.1/"
 xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 e:DateTimeOriginal="2024-06-15T08:30:15" e:GPSLatitude="35,39.57N" e:GPSLongitude="139,42.03E">
<d:description><rdf:Alt><rdf:li>A blimp</rdf:li></rdf:Alt></d:description>
<i:PersonInImage><rdf:Bag><rdf:li>Anna Stone</rdf:li></rdf:Bag></i:PersonInImage>
</rdf:Description></rdf:RDF></x:xmpmeta>"""

TAKEOUT = {
    "title": "IMG.jpg",
    "description": "A blimp",
    "photoTakenTime": {"timestamp": "1718407815", "formatted": "Jun 14, 2024, 11:30:15 PM UTC"},
    "geoData": {"latitude": 35.6595, "longitude": 139.7005, "altitude": 12.0},
    "people": [{"name": "Anna Stone"}, {"name": "Béla"}],
}


def about(**changed: object) -> str:
    return json.dumps(TAKEOUT | changed)


@pytest.mark.parametrize("name", ["IMG.xmp", "IMG.jpg.xmp", "IMG.XMP"])
def test_xmp_beside_a_photo_counts_more_than_the_photo(name: str, tmp_path: Path) -> None:
    photo = make.make_jpeg(tmp_path / "IMG.jpg", taken="2020:01:01 00:00:00", caption="Sky")
    (tmp_path / name).write_text(XMP)
    info = media.probe(photo)
    assert info.taken_at == datetime(2024, 6, 15, 8, 30, 15)
    assert info.details["date_from"] == "sidecar"
    assert (info.details["caption"], info.details["people"]) == ("A blimp", "Anna Stone")
    assert info.details["latitude"] == pytest.approx(35.6595)


@pytest.mark.parametrize(
    ("photo", "beside"),
    [
        ("IMG.jpg", "IMG.jpg.json"),
        ("IMG.jpg", "IMG.jpg.supplemental-metadata.json"),
        ("IMG(1).jpg", "IMG.jpg(1).json"),
        ("IMG(1).jpg", "IMG.jpg.supplemental-metadata(1).json"),
        ("IMG(1).jpg", "IMG(1).jpg.json"),
        ("IMG-edited.jpg", "IMG.jpg.json"),
        ("Screenshot_of_a_blimp_above_lake.jpg",
         "Screenshot_of_a_blimp_above_lake.jpg.supplemen.json"),
        ("a_name_of_fifty_characters_of_which_some_are_lost.jpg",
         "a_name_of_fifty_characters_of_which_some_are_l.json"),
    ],
)  # fmt: skip
def test_takeout_fills_in_what_a_photo_lacks(photo: str, beside: str, tmp_path: Path) -> None:
    path = make.make_image(tmp_path / photo)
    (tmp_path / beside).write_text(about())
    info = media.probe(path)
    assert info.taken_at == datetime(2024, 6, 15, 8, 30, 15), "in Tokyo"
    assert (info.details["date_from"], info.details["zone"]) == ("sidecar", "Asia/Tokyo")
    assert info.details["people"] == "Anna Stone; Béla"
    assert info.details["caption"] == "A blimp"


def test_a_photo_that_tells_more_than_takeout(tmp_path: Path) -> None:
    photo = make.make_jpeg(
        tmp_path / "IMG.jpg", taken="2020:01:01 00:00:00", caption="Sky", place=(48.0, 2.0)
    )
    (tmp_path / "IMG.jpg.json").write_text(about())
    info = media.probe(photo)
    assert (info.taken_at, info.details["date_from"]) == (datetime(2020, 1, 1), "exif")
    assert (info.details["caption"], info.details["latitude"]) == ("Sky", 48.0)
    assert info.details["people"] == "Anna Stone; Béla"


def test_the_photo_next_door_is_not_meant(tmp_path: Path) -> None:
    photo = make.make_image(tmp_path / "IMG.jpg")
    for name in ("IMG(1).jpg.json", "IMG.jpg(1).json", "IMG2.xmp", "IMG.png.xmp", "IM.xmp"):
        (tmp_path / name).write_text(XMP if name.endswith("xmp") else about())
    assert dict(media.probe(photo).details) == {"orientation": "landscape"}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "3", '{"title": "a package"}', "[" * 100_000,
        about(photoTakenTime="yesterday"), '{"photoTakenTime": {"timestamp": "NaN"}}',
        '{"photoTakenTime": {"timestamp": 1' + "0" * 400 + "}}",
        '{"photoTakenTime": {}, "geoData": {"latitude": 1' + "0" * 400 + ', "longitude": 1}}',
        '{"photoTakenTime": {}, "geoData": {"longitude": 1}}',
        '{"photoTakenTime": {"timestamp": {}}, "people": 3, "geoData": [], "description": 7}',
    ],
)  # fmt: skip
def test_json_of_others_tells_nothing(text: str) -> None:
    dates, details = read_takeout(text.encode())
    assert dates == []
    assert details == {}


def test_takeout_without_a_place() -> None:
    nowhere = {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0}
    assert "latitude" not in read_takeout(about(geoData=nowhere).encode())[1]
    known = {"latitude": 48.0, "longitude": 2.0}
    found = read_takeout(about(geoData=nowhere, geoDataExif=known).encode())[1]
    assert found["latitude"] == 48.0


@pytest.mark.parametrize(
    "packet",
    ["<x>", XMP[:300], "\0", XMP + " " * MOST_BYTES,
     '<!DOCTYPE a [<!ENTITY b "bbbb">]>' + XMP.replace("A blimp", "&b;")],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_broken_sidecar_costs_nothing_but_itself(
    packet: str, encoding: str, tmp_path: Path
) -> None:
    photo = make.make_jpeg(tmp_path / "IMG.jpg", taken="2020:01:01 00:00:00")
    (tmp_path / "IMG.xmp").write_bytes(packet.encode(encoding))
    info = media.probe(photo)
    assert info.taken_at == datetime(2020, 1, 1)
    assert "caption" not in info.details


def test_a_sidecar_in_utf_16(tmp_path: Path) -> None:
    photo = make.make_image(tmp_path / "IMG.jpg")
    (tmp_path / "IMG.xmp").write_bytes(XMP.encode("utf-16"))
    assert media.probe(photo).details["people"] == "Anna Stone"


def info_in_worker(path: Path, root: Path) -> MediaInfo:
    settings = Settings(decode_workers=1)
    infos = []
    for file in media.decode_all([path], SampleSpec(), settings, root_of=lambda _: str(root)):
        infos.append(file.info)
        assert list(file)
    (info,) = infos
    assert info is not None
    return info


def test_a_worker_can_tell_what_a_file_is_without_decoding_it(tmp_path: Path) -> None:
    photo = make.make_jpeg(tmp_path / "IMG.jpg", caption="Sky")
    photo.write_bytes(photo.read_bytes()[:-400])  # decoding it would tell that it is cut off
    (tmp_path / "IMG.xmp").write_text(XMP)
    files = media.decode_all(
        [photo],
        SampleSpec(),
        Settings(decode_workers=1),
        wanted=lambda digest: True,
        to_mark=lambda digest: False,
        samples=False,
    )
    for file in files:
        assert (list(file), file.fingerprint) == ([], b"")
        assert file.info is not None
        assert file.info.details["caption"] == "A blimp"
        assert "partial" not in file.info.details


def test_no_link_leads_a_sidecar_out_of_its_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    photo = make.make_image(root / "IMG.jpg")
    (outside / "secret.xmp").write_text(XMP)
    (root / "IMG.xmp").symlink_to(outside / "secret.xmp")
    assert "people" not in info_in_worker(photo, root).details
    (root / "IMG.xmp").unlink()
    (root / "IMG.xmp").write_text(XMP)
    assert info_in_worker(photo, root).details["people"] == "Anna Stone"
