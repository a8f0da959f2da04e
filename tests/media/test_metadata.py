"""What files say about themselves: EXIF, XMP, IPTC, tags."""

from __future__ import annotations

import io
import struct
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from seehear import media
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
    ):
        data = value.encode()
        entries += struct.pack(">BBBH", 0x1C, 2, number, len(data)) + data
    block = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(entries)) + entries
    block += b"\x00" * (len(entries) % 2)
    body = b"Photoshop 3.0\x00" + block
    segment = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body
    plain = make.make_image(tmp_path / "a.jpg").read_bytes()
    details = media.probe(plain[:2] + segment + plain[2:]).details
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
    assert info.taken_at == datetime(2022, 3, 4, 5, 6, 7)
    assert info.details["caption"] == "storm"
    assert info.details["frame_rate"] == 25.0
    assert info.details["codec"] == "h264"


def test_where_a_film_was_made() -> None:
    from seehear.media.metadata import of_tags

    _, details = of_tags({"com.apple.quicktime.location.ISO6709": "+48.8584+002.2945+035.0/"})
    assert (details["latitude"], details["longitude"]) == (48.8584, 2.2945)


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
