"""What files say about themselves: EXIF, XMP, IPTC, tags."""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from seehear import media
from seehear.media.coordinates import point_of
from seehear.media.dates import choose_date
from seehear.media.metadata import of_tags, user_comment
from tests.media import make

XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Harbour</rdf:li>
<rdf:li xml:lang="de">Hafen</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt><rdf:li>Boats at dawn</rdf:li></rdf:Alt></dc:description>
<dc:subject><rdf:Bag><rdf:li>boat</rdf:li><rdf:li>sea, calm</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def test_exif(tmp_path: Path) -> None:
    path = make.make_jpeg(
        tmp_path / "a.jpg",
        camera="Nikon D90",
        taken="2024:06:01 12:34:56",
        place=(-33.8568, 151.2153),
        caption="The opera\x00 house",
    )
    info = media.probe(path)
    assert info.taken_at == datetime(2024, 6, 1, 12, 34, 56)
    assert info.details["camera"] == "Nikon D90"
    assert info.details["latitude"] == pytest.approx(-33.8568, abs=1e-4)
    assert info.details["longitude"] == pytest.approx(151.2153, abs=1e-4)
    assert info.details["caption"] == "The opera house"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "heic"])
def test_exif_in_every_format(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[272], exif[306] = "Canon", "Canon EOS 5D", "2019:02:03 04:05:06"
    path = tmp_path / f"a.{suffix}"
    make.make_image(path, exif=exif if suffix == "tif" else exif.tobytes())
    info = media.probe(path)
    assert info.details["camera"] == "Canon EOS 5D"
    assert info.taken_at == datetime(2019, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_xmp(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        note = PngImagePlugin.PngInfo()
        note.add_itxt("XML:com.adobe.xmp", XMP)
        make.make_image(path, pnginfo=note)
    elif suffix == "tif":
        make.make_image(path, tiffinfo={700: XMP.encode()})
    else:
        make.make_image(path, xmp=XMP.encode())
    details = media.probe(path).details
    assert details["title"] == "Harbour"
    assert details["caption"] == "Boats at dawn"
    assert details["keywords"] == "boat; sea, calm"
    assert details["rating"] == 4


def test_iptc(tmp_path: Path) -> None:
    entries = b""
    for number, value in (
        (120, "Gulls über dem Hafen"),
        (25, "gull"),
        (25, "harbour"),
        (5, "Gulls"),
        (55, "20240615"),
        (60, "083015+0900"),
        (90, "Kiel"),
    ):
        data = value.encode()
        entries += struct.pack(">BBBH", 0x1C, 2, number, len(data)) + data
    block = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(entries)) + entries
    block += b"\x00" * (len(entries) % 2)
    body = b"Photoshop 3.0\x00" + block
    segment = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body
    plain = make.make_image(tmp_path / "a.jpg").read_bytes()
    info = media.probe(plain[:2] + segment + plain[2:])
    details = info.details
    assert info.taken_at == datetime(2024, 6, 15, 8, 30, 15)
    assert (details["date_from"], details["zone"], details["city"]) == ("iptc", "+09:00", "Kiel")
    assert details["caption"] == "Gulls über dem Hafen"
    assert details["keywords"] == "gull; harbour"
    assert details["title"] == "Gulls"


def test_keywords_of_windows(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[40094] = "sea;boat".encode("utf-16-le") + b"\x00\x00"
    path = make.make_image(tmp_path / "a.jpg", exif=exif.tobytes())
    assert media.probe(path).details["keywords"] == "sea; boat"


@pytest.mark.parametrize(
    "taken", ["0000:00:00 00:00:00", "    :  :     :  :  ", "not a date", "2024:13:01 00:00:00"]
)
def test_dates_that_are_none(taken: str, tmp_path: Path) -> None:
    assert media.probe(make.make_jpeg(tmp_path / "a.jpg", taken=taken)).taken_at is None


def test_places_that_are_none(tmp_path: Path) -> None:
    path = make.make_jpeg(tmp_path / "a.jpg", place=(95.0, 10.0))
    assert "latitude" not in media.probe(path).details
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (1.0, 2.0)
    path = make.make_image(tmp_path / "b.jpg", exif=exif.tobytes())
    assert "latitude" not in media.probe(path).details


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\x00\x00" + b"\xff" * 60,
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" + b"\x01" * 50,
        b"Exif\x00\x00II*\x00\xf0\xff\xff\xff",
        b"Exif\x00\x00",
    ],
)
def test_broken_exif_costs_nothing_but_itself(block: bytes, tmp_path: Path) -> None:
    path = make.make_image(tmp_path / "a.jpg", exif=block)
    assert media.probe(path).width_px == 320
    assert media.load_image(path, 100).pixels.shape == (100, 133, 3)


@pytest.mark.parametrize(
    "packet",
    [
        "<x>",
        XMP[:400],
        '<!DOCTYPE a [<!ENTITY b "bbbb">]><x>&b;</x>',
        "\x00\x01\x02",
        XMP.replace("4", "four"),
    ],
)
def test_broken_xmp_costs_nothing_but_itself(packet: str, tmp_path: Path) -> None:
    path = make.make_image(tmp_path / "a.jpg", xmp=packet.encode())
    assert media.probe(path).width_px == 320


def test_tags_of_sounds(tmp_path: Path) -> None:
    tags = {"title": "Fog", "artist": "Keeper", "album": "Coast", "genre": "Ambient"}
    for name in ("mp3", "flac", "ogg", "opus", "m4a", "mka"):
        path = make.make_audio(tmp_path / f"a.{name}", tags={**tags, "date": "2021-05-06"})
        info = media.probe(path)
        assert {key: info.details[key] for key in tags} == tags, name
        assert info.taken_at is not None, name
        assert info.taken_at.year == 2021, name


def test_tags_of_films(tmp_path: Path) -> None:
    tags = {"creation_time": "2022-03-04T05:06:07Z", "comment": "storm"}
    path = make.make_video(tmp_path / "a.mp4", tags=tags)
    info = media.probe(path)
    at_place = datetime.fromisoformat(f"{info.taken_at}{info.details['zone']}")
    assert at_place == datetime(2022, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert info.details["caption"] == "storm"
    assert info.details["frame_rate"] == 25.0
    assert info.details["codec"] == "h264"


def test_where_a_film_was_made() -> None:
    _, details = of_tags({"com.apple.quicktime.location.ISO6709": "+48.8584+002.2945+035.0/"})
    assert (details["latitude"], details["longitude"]) == (48.8584, 2.2945)
    assert details["altitude_m"] == 35.0


LATIN, JAPANESE, RUSSIAN = "a zeppelin above Friedrichshafen", "東京の飛行船", "Дирижабль"


@pytest.mark.parametrize("text", [LATIN, JAPANESE, RUSSIAN, "Zürich, 5 €"])
@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-16"])
@pytest.mark.parametrize("big_endian", [True, False])
def test_user_comment_in_either_byte_order(text: str, order: str, big_endian: bool) -> None:
    data = b"UNICODE\x00" + text.encode(order)
    assert user_comment(data, big_endian=big_endian).strip("\0") == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"ASCII\x00\x00\x00a zeppelin\x00\x00", "a zeppelin"),
        (b"JIS\x00\x00\x00\x00\x00" + JAPANESE.encode("iso2022_jp"), JAPANESE),
        (b"\x00" * 8 + "Zürich".encode(), "Zürich"),
        (b"a zeppelin without a code", "a zeppelin without a code"),
        (b"UNICODE\x00" + b"\x00" * 200, ""),
        (b"\x00" * 20, ""),
        (b"", ""),
    ],
)
def test_user_comment_in_other_codes(data: bytes, text: str) -> None:
    assert user_comment(data, big_endian=False).strip("\0") == text


@pytest.mark.parametrize("caption", [None, "OLYMPUS DIGITAL CAMERA", "A blimp"])
def test_user_comment_beside_a_caption(caption: str | None, tmp_path: Path) -> None:
    exif = Image.Exif()
    if caption:
        exif[270] = caption
    exif.get_ifd(0x8769)[37510] = b"UNICODE\x00" + LATIN.encode("utf-16-be")
    path = make.make_image(tmp_path / "a.jpg", exif=exif.tobytes())
    details = media.probe(path).details
    assert LATIN in (details.get("caption"), details.get("comment"))
    assert (details["caption"] == "A blimp") == (caption == "A blimp")


@pytest.mark.parametrize(
    "caption",
    ["OLYMPUS DIGITAL CAMERA", "SONY DSC", "KODAK Digital Still Camera", "SAMSUNG",
     "MINOLTA DIGITAL CAMERA", "Exif_JPEG_PICTURE", "DCIM\\100MEDIA\\DJI_0001.JPG", "<KENOX S630>",
     "cof_soft"],
)  # fmt: skip
def test_what_cameras_write_is_no_caption(caption: str, tmp_path: Path) -> None:
    path = make.make_jpeg(tmp_path / "a.jpg", caption=caption)
    assert "caption" not in media.probe(path).details


def test_captions_about_cameras_stay(tmp_path: Path) -> None:
    for caption in ("My first digital camera, in 1999", "Samsung tower", "a digital camera shop"):
        path = make.make_jpeg(tmp_path / "a.jpg", caption=caption)
        assert media.probe(path).details["caption"] == caption


PEOPLE = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:r="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:m="http://ns.microsoft.com/photo/1.2/" xmlns:e="http://ns.adobe.com/exif/1.0/"
 xmlns:mr="http://ns.microsoft.com/photo/1.2/t/Region#" e:GPSLatitude="35,39.57N"
 e:DateTimeOriginal="2024-06-15T08:30:15+09:00">
<e:GPSLongitude>139,42.03E</e:GPSLongitude>
<i:PersonInImage><rdf:Bag><rdf:li>Anna Stone</rdf:li><rdf:li>Béla</rdf:li></rdf:Bag>
</i:PersonInImage>
<r:Regions rdf:parseType="Resource"><r:RegionList><rdf:Bag>
<rdf:li><rdf:Description r:Name="Chiyo" r:Type="Face"/></rdf:li>
<rdf:li rdf:parseType="Resource"><r:Name>Anna Stone</r:Name><r:Type>Face</r:Type></rdf:li>
<rdf:li><rdf:Description r:Name="Rex" r:Type="Pet"/></rdf:li>
</rdf:Bag></r:RegionList></r:Regions>
<m:RegionInfo><rdf:Description><mr:Regions><rdf:Bag>
<rdf:li mr:PersonDisplayName="Dmitri"/></rdf:Bag></mr:Regions></rdf:Description></m:RegionInfo>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_people_dates_and_places_of_xmp(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        note = PngImagePlugin.PngInfo()
        note.add_itxt("XML:com.adobe.xmp", PEOPLE)
        make.make_image(path, pnginfo=note)
    elif suffix == "tif":
        make.make_image(path, tiffinfo={700: PEOPLE.encode()})
    else:
        make.make_image(path, xmp=PEOPLE.encode())
    info = media.probe(path)
    assert info.details["people"] == "Anna Stone; Béla; Chiyo; Dmitri"
    assert info.taken_at == datetime(2024, 6, 15, 8, 30, 15)
    assert (info.details["date_from"], info.details["zone"]) == ("xmp", "+09:00")
    assert point_of(dict(info.details)) == pytest.approx((35.6595, 139.7005))


@pytest.mark.parametrize(
    ("tags", "taken", "precision"),
    [
        ({0x9003: "2024:06:15 08:30:15"}, datetime(2024, 6, 15, 8, 30, 15), None),
        ({0x9004: "2024:06:15 08:30:15"}, datetime(2024, 6, 15, 8, 30, 15), None),
        ({0x9003: "2024:06:    :  :  "}, datetime(2024, 6, 1), "month"),
        ({0x9003: "2024:02:30 08:30:15", 0x9004: "2024:06:15 08:30:15"},
         datetime(2024, 6, 15, 8, 30, 15), None),
        ({0x9003: "2024:06:15 08:30:15 and more"}, None, None),
    ],
)  # fmt: skip
def test_dates_of_exif(
    tags: dict[int, str], taken: datetime | None, precision: str | None, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(tags)
    info = media.probe(make.make_image(tmp_path / "a.jpg", exif=exif.tobytes()))
    assert (info.taken_at, info.details.get("date_precision")) == (taken, precision)


def test_the_time_of_the_satellites_is_that_of_the_place(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825).update(
        {1: "N", 2: (35.0, 39.0, 34.2), 3: "E", 4: (139.0, 42.0, 1.8), 7: (23.0, 30.0, 15.5),
         29: "2024:06:14"}
    )  # fmt: skip
    info = media.probe(make.make_image(tmp_path / "a.jpg", exif=exif.tobytes()))
    assert info.taken_at == datetime(2024, 6, 15, 8, 30, 15)
    assert (info.details["zone"], info.details["zone_from"]) == ("Asia/Tokyo", "place")


@pytest.mark.parametrize(
    ("tags", "is_video", "taken"),
    [
        ({"date": "20240615"}, False, datetime(2024, 6, 15)),
        ({"date": "2024/06/15"}, False, datetime(2024, 6, 15)),
        ({"year": "2024"}, False, datetime(2024, 1, 1)),
        ({"DATE_RECORDED": "2024-06-15 08:30:15.250"}, False, datetime(2024, 6, 15, 8, 30, 15)),
        ({"date": "2024-06-15", "creation_time": "2020-01-01T00:00:05+00:00"}, False,
         datetime(2024, 6, 15)),
        ({"date": "2010", "creation_time": "2024-06-15T08:30:15+02:00"}, True,
         datetime(2024, 6, 15, 8, 30, 15)),
        ({"com.apple.quicktime.creationdate": "2024-06-15T08:30:15+0900",
          "creation_time": "2024-06-14T23:30:15Z"}, True, datetime(2024, 6, 15, 8, 30, 15)),
        ({"date": "2024-06-15T08:30:15+0900", "creation_time": "2024-06-14T23:30:15Z"}, True,
         datetime(2024, 6, 15, 8, 30, 15)),
        ({"date": "2024_06_15", "creation_time": "08-30-15"}, False,
         datetime(2024, 6, 15, 8, 30, 15)),
        ({"creation_time": "2024-06-15 08:30:15"}, True, datetime(2024, 6, 15, 8, 30, 15)),
        ({"date": "June"}, False, None),
    ],
)  # fmt: skip
def test_dates_of_tags(tags: dict[str, str], is_video: bool, taken: datetime | None) -> None:
    assert choose_date(of_tags(tags, is_video=is_video)[0])[0] == taken


def test_the_creation_time_of_a_png(tmp_path: Path) -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("Creation Time", "Sat, 15 Jun 2024 08:30:15 +0900")
    note.add_text("parameters", "a zeppelin, watercolour")
    info = media.probe(make.make_image(tmp_path / "a.png", pnginfo=note))
    assert info.taken_at == datetime(2024, 6, 15, 8, 30, 15)
    assert (info.details["date_from"], info.details["caption"]) == (
        "tags",
        "a zeppelin, watercolour",
    )


def test_notes_of_raw_files(tmp_path: Path) -> None:
    info = media.probe(make.make_image(tmp_path / "a.dng"))
    assert info.taken_at == datetime(2024, 6, 1, 12, 34, 56)
    assert info.details["camera"] == "Seehear Model One"


def test_captions_are_bounded(tmp_path: Path) -> None:
    path = make.make_jpeg(tmp_path / "a.jpg", caption="word " * 5_000)
    assert len(str(media.probe(path).details["caption"])) <= 4_000


def test_nothing_is_made_up(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    info = media.probe(buffer.getvalue())
    assert info.taken_at is None
    assert dict(info.details) == {"orientation": "square"}
