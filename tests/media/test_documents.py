"""Documents, drawings and further subtitles: what is read from them, and what is refused."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seehear import media
from seehear.errors import BrokenMediaError, MediaLimitError, UnsupportedMediaError
from seehear.media.limits import LIMITS
from seehear.stores.catalog.writer import SUBTITLES
from seehear.types import Modality, SampleSpec
from tests.media import make, make_documents
from tests.media.test_hostile import refused

SPEC = SampleSpec()
PAGES = ("Fresh bread & butter, at dawn.", "Käse und Brot: 日本", "Third page of three pages.")


def words(source: Path | bytes) -> str:
    found = [sample for _, sample in media.samples(source, None, SPEC)]
    assert all(isinstance(sample, str) for sample in found)
    return " ".join(str(sample) for sample in found)


def named(tmp_path: Path, name: str, content: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("form", make_documents.DOCUMENTS)
def test_the_words_of_a_document_in_their_order(form: str, tmp_path: Path) -> None:
    path = named(tmp_path, f"x.{form}", make_documents.document(form, PAGES))
    found = words(path)
    at = [found.index(" ".join(page.split())) for page in PAGES]
    assert at == sorted(at)
    assert "Hidden" not in found, "attachments, styles and what generators leave"
    info = media.probe(path)
    assert (info.modality, info.format) == (Modality.TEXT, form)
    if form in {"docx", "pptx", "xlsx", "odt", "epub"}:
        assert (info.details["title"], info.details["artist"]) == ("The keeper", "Ada Stone")
        assert info.taken_at is not None
        assert info.taken_at.date().isoformat() == "2024-06-01"
    if form == "eml":
        assert info.details["title"] == "The keeper"
        assert info.taken_at == datetime(2024, 6, 1, 14, 34, 56), "in the sender's zone"
        assert info.details["zone"] == "+02:00"


def test_parts_of_documents_that_are_easily_missed(tmp_path: Path) -> None:
    w = make_documents.WORD
    body = (
        "<w:p><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del><w:r><w:instrText>PAGE"
        "</w:instrText></w:r><w:r><w:t>left</w:t><w:br/><w:t>right</w:t></w:r></w:p>"
        f'<mc:Fallback xmlns:mc="m" xmlns:w2="{w}"><w:t>twice</w:t></mc:Fallback>'
    )
    found = words(make_documents.docx(["One."], body))
    assert "left right" in found
    assert not {"deleted", "PAGE", "twice"} & set(found.split())
    assert "spoken aside" in words(make_documents.pptx(["Shown."], notes="spoken aside"))
    slides = [f"slide number {at}." for at in range(1, 12)]
    assert words(make_documents.pptx(slides)).index("number 9.") < words(
        make_documents.pptx(slides)
    ).index("number 10.")
    assert "42" not in words(make_documents.xlsx(["cell"]))
    assert words(make_documents.odt(["A sheet."], "spreadsheet")) == "A sheet."
    html = make_documents.eml("<p>Only <b>hyper</b>text</p><script>no()</script>", html=True)
    assert "Only hypertext" in words(named(tmp_path, "a.eml", html))
    lines = '{"t": "first line"}\n{"t": "second line"}\n'
    assert words(named(tmp_path, "a.jsonl", lines)) == "t: first line t: second line"
    assert "// why" in words(named(tmp_path, "a.json", '{"a": 1, // why\n}'))
    assert (
        words(named(tmp_path, "a.tsv", "name\tday\ncrane\tMonday\n")) == "name, day crane, Monday"
    )


def test_rich_text_in_other_alphabets() -> None:
    cyrillic = (
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 A;}{\f1\fcharset204 B;}}"
        rb"\f1 \'cf\'f0\'e8\'e2\'e5\'f2\f0  caf\'e9 \uc2\u26085 XX\u26412 YY\line "
        rb"{\pict\bin4 }{}{}{\*\x gone} \{kept\}}"
    )
    assert words(cyrillic) == "Привет café 日本 {kept}"
    emoji = rb"{\rtf1 \u-10179?\u-8704? smiles}"
    assert words(emoji) == "😀 smiles"


@pytest.mark.parametrize("form", make_documents.SUBTITLES)
def test_subtitles_keep_their_times(form: str, tmp_path: Path) -> None:
    cues = [(1.5, 3.5, "Good morning, captain."), (60.25, 64.0, "Land <ahead> & fog.")]
    path = named(tmp_path, f"film.{form}", make_documents.subtitles(form, cues))
    found = [segment for segment, _ in media.samples(path, None, SPEC)]
    assert [segment.text for segment in found] == [line for _, _, line in cues]
    assert [segment.start_s for segment in found] == [1.5, 60.25]
    stops = [segment.stop_s for segment in found]
    assert stops == ([21.5, 65.25] if form == "lrc" else [3.5, 64.0])
    assert media.probe(path).format == form
    assert path.suffix in media.SIDECAR_SUFFIXES


def test_further_ways_to_write_times(tmp_path: Path) -> None:
    timed = (
        '<tt xmlns="x" xmlns:p="y" p:frameRate="25" p:tickRate="1000"><body><div begin="10s">'
        '<p begin="00:00:01:05" dur="2s">frames<br/>and more</p><p begin="5000t" end="6000t">'
        "<span>ticks</span></p></div></body></tt>"
    )
    found = [s for s, _ in media.samples(named(tmp_path, "a.ttml", timed), None, SPEC)]
    assert [(one.start_s, one.text) for one in found] == [
        (11.2, "frames and more"),
        (15.0, "ticks"),
    ]
    song = "[00:10.00][00:30.00]Chorus again\n[offset:+500]\n[00:20.00]<00:20.10>Verse\n"
    cues = [s for s, _ in media.samples(named(tmp_path, "a.lrc", song), None, SPEC)]
    assert (cues[0].start_s, cues[0].text) == (9.5, "Chorus again Verse Chorus again")


def test_subtitles_without_times_are_broken(tmp_path: Path) -> None:
    for form in make_documents.SUBTITLES:
        text = "<tt/>" if form == "ttml" else "words alone"
        assert "have no times" in refused(named(tmp_path, f"a.{form}", text), BrokenMediaError)


def test_the_store_and_the_decoders_agree_on_what_subtitles_are() -> None:
    assert {suffix.lower() for suffix in SUBTITLES} == media.SIDECAR_SUFFIXES


def icon(path: Path, *sizes: int) -> bytes:
    shown = Image.fromarray(make.pixels((64, 64)))
    shown.save(path, sizes=[(size, size) for size in sizes])
    return path.read_bytes()


def test_the_largest_image_of_an_icon(tmp_path: Path) -> None:
    data = icon(tmp_path / "x.ico", 16, 48)
    info = media.probe(data)
    assert (info.format, info.width_px, info.height_px) == ("ico", 48, 48)
    pixels = media.load_image(data, 0).pixels
    assert pixels[40, 40] == pytest.approx(make.RED, abs=6)


def test_an_icon_that_hides_a_larger_image(tmp_path: Path) -> None:
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 30_000, 20_000, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes((30_000 // 8 + 1) * 20_000), 1)),
        (b"IEND", b""),
    )
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    head = struct.pack("<HHH", 0, 1, 1) + struct.pack(
        "<BBBBHHII", 16, 16, 0, 0, 1, 32, len(png), 22
    )
    assert "megapixels" in refused(head + png, MediaLimitError)


def test_a_drawing_is_drawn_over_white(tmp_path: Path) -> None:
    drawing = make_documents.svg(100, 50, '<text>Harbour plan</text><circle r="3" fill="none"/>')
    info = media.probe(drawing)
    assert (info.format, info.width_px, info.height_px) == ("svg", 100, 50)
    assert (info.details["title"], info.details["caption"]) == ("The keeper", "Harbour plan")
    pixels = media.load_image(drawing, 200).pixels
    assert pixels.shape == (200, 400, 3)
    assert tuple(pixels[150, 300]) == make.RED
    assert tuple(pixels[10, 10]) == make.MARK
    packed = named(tmp_path, "x.svgz", gzip.compress(drawing))
    assert np.array_equal(media.load_image(packed, 200).pixels, pixels)
    empty = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 2"/>'
    assert (media.load_image(empty, 8).pixels == 255).all()
    assert media.thumbnail(drawing)[:4] == b"RIFF"


def test_a_drawing_loads_nothing_from_outside(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (10, 10), (0, 255, 0)).save(secret)
    plain = media.load_image(make_documents.svg(), 64).pixels
    for reference in (
        f'<image href="{secret}" width="320" height="240"/>',
        f'<image xlink:href="file://{secret}" width="320" height="240"/>',
        f'<filter id="f"><feImage href="{secret}"/></filter><rect width="9" height="9" '
        'filter="url(#f)" fill="none"/>',
        '<image href="https://example.org/x.png" width="320" height="240"/>',
        "<foreignObject><image href='/x.png' width='320' height='240'/></foreignObject>",
        "<script>alert(1)</script>",
    ):
        drawn = media.load_image(make_documents.svg(inside=reference), 64).pixels
        assert np.array_equal(drawn, plain), reference
    doctype = f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file://{secret}">]>'
    assert "entities" in refused(make_documents.svg(inside="&x;", doctype=doctype))


def test_an_image_inside_a_drawing_and_flat_entities_are_drawn() -> None:
    import base64

    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (0, 255, 0)).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    image = f'<image xlink:href="data:image/png;base64,{data}" width="320" height="240"/>'
    pixels = media.load_image(make_documents.svg(inside=image), 64).pixels
    assert tuple(pixels[32, 40]) == (0, 255, 0)
    doctype = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x.dtd" [<!ENTITY c "#00ff00">]>'
    fill = '<rect width="320" height="240" fill="&c;"/>'
    pixels = media.load_image(make_documents.svg(inside=fill, doctype=doctype), 64).pixels
    assert tuple(pixels[32, 40]) == (0, 255, 0)


def repeated(levels: int, times: int) -> str:
    """Groups of references to groups: `times ** levels` rectangles in a few lines."""
    lines = ['<g id="g0"><rect width="1" height="1"/></g>']
    for level in range(1, levels + 1):
        uses = f'<use href="#g{level - 1}"/>' * times
        lines.append(f'<g id="g{level}">{uses}</g>')
    return "<defs>" + "".join(lines) + f'</defs><use href="#g{levels}"/>'


def test_hostile_drawings(tmp_path: Path) -> None:
    assert "repeats" in refused(make_documents.svg(inside=repeated(10, 10)), MediaLimitError)
    loop = '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>'
    refused(make_documents.svg(inside=loop), BrokenMediaError)
    many = "<g/>" * (LIMITS.svg_elements + 1)
    assert "elements" in refused(make_documents.svg(inside=many), MediaLimitError)
    assert "nested" in refused(make_documents.svg(inside="<g>" * 5_000))
    lol = "".join(f'<!ENTITY l{at} "{f"&l{at - 1};" * 10 if at else "lol"}">' for at in range(10))
    bomb = make_documents.svg(inside="&l9;", doctype=f"<!DOCTYPE svg [{lol}]>")
    assert "entities" in refused(bomb)
    whole = gzip.compress(bytes(LIMITS.svg_bytes + 5))
    assert "MiB" in refused(named(tmp_path, "x.svgz", whole), MediaLimitError)
    assert "truncated" in refused(named(tmp_path, "y.svgz", gzip.compress(b"<svg>" * 99)[:20]))
    for share in (0.02, 0.3, 0.6, 0.95):
        cut = make_documents.svg()[: int(share * len(make_documents.svg()))]
        refused(named(tmp_path, "cut.svg", cut), BrokenMediaError)
    assert "size" in refused(make_documents.svg(0, 0))
    refused(make_documents.svg(10**6, 1), MediaLimitError)
    page = b"<!---->" * 9_000 + b"<p>No drawing.</p>"
    assert words(named(tmp_path, "page.txt", page)), "told apart at once"


@pytest.mark.parametrize("form", ["docx", "pptx", "xlsx", "odt", "epub"])
def test_damaged_archives(form: str, tmp_path: Path) -> None:
    whole = make_documents.document(form, make.SENTENCES)
    for share in (0.2, 0.6, 0.98):
        cut = named(tmp_path, f"cut.{form}", whole[: int(len(whole) * share)])
        assert "truncated" in refused(cut, BrokenMediaError)
    altered = bytearray(whole)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        part = next(
            info for info in archive.infolist()
            if info.filename in {"word/document.xml", "ppt/slides/slide1.xml", "content.xml",
                                 "xl/sharedStrings.xml", "OEBPS/book.opf"}
        )  # fmt: skip
    at = part.header_offset + 30 + len(part.filename)
    altered[at + 5 : at + 40] = bytes(35)
    assert "corrupt" in refused(named(tmp_path, f"bad.{form}", bytes(altered)), BrokenMediaError)
    locked = bytearray(whole)
    at = locked.find(b"PK\x01\x02")
    while at >= 0:
        locked[at + 8] |= 1  # the bit that says: encrypted
        at = locked.find(b"PK\x01\x02", at + 4)
    assert "encrypted" in refused(named(tmp_path, f"locked.{form}", bytes(locked)))


def test_documents_that_unfold_without_end() -> None:
    many = " ".join(["word"] * 1_000_000)
    started = words(make_documents.docx([many]))
    assert len(started) <= LIMITS.text_characters * 1.3, "read up to the limit, and no further"
    archive = bytearray(make_documents.docx(["a"], "<!--" + "x" * 10_000_000 + "-->"))
    at = archive.find(b"word/document.xml", archive.find(b"PK\x01\x02")) - 22
    # What the directory says of its size.
    archive[at : at + 4] = struct.pack("<I", LIMITS.document_bytes + 1)
    assert "unpacks" in refused(bytes(archive), MediaLimitError)
    archive[at : at + 4] = struct.pack("<I", 100)
    refused(bytes(archive), BrokenMediaError)
    names = {f"word/{at}": "" for at in range(LIMITS.document_entries + 1)}
    crowd = make_documents.packed({"word/document.xml": "<d/>", **names})
    assert "files" in refused(crowd, MediaLimitError)


def test_xml_that_means_harm() -> None:
    lol = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    for doctype in (lol, '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'):
        file = {"word/document.xml": f"{doctype}<d><p><t>&b;&x;</t></p></d>"}
        assert "entities" in refused(make_documents.packed(file), BrokenMediaError)
    deep = {"word/document.xml": "<d>" * 100_000}
    assert "nested" in refused(make_documents.packed(deep), BrokenMediaError)
    outside = {"META-INF/container.xml": '<c><rootfile full-path="../../../../etc/passwd"/></c>'}
    assert "has no" in refused(
        make_documents.packed({"mimetype": "application/epub+zip", **outside}, stored=["mimetype"])
    )


def test_closed_books_and_documents_with_a_password(tmp_path: Path) -> None:
    shop = {
        "META-INF/encryption.xml": "<e><CipherReference URI='OEBPS/text/chapter%200.xhtml'/></e>"
    }
    assert "encrypted" in refused(make_documents.epub(["words"], shop))
    manifest = {"META-INF/manifest.xml": "<m><manifest:encryption-data/></m>"}
    with zipfile.ZipFile(io.BytesIO(make_documents.odt(["a"]))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert "encrypted" in refused(make_documents.packed({**files, **manifest}, stored=["mimetype"]))
    old = named(tmp_path, "locked.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))
    assert "password" in refused(old, BrokenMediaError)


def test_archives_that_are_no_documents(tmp_path: Path) -> None:
    plain = make_documents.packed({"photo.jpg": b"x", "notes.txt": "y"})
    for name in ("backup.zip", "talk.key"):
        with pytest.raises(UnsupportedMediaError):
            media.probe(named(tmp_path, name, plain))
    assert "named .docx" in refused(named(tmp_path, "x.docx", plain), BrokenMediaError)
    refused(named(tmp_path, "y.docx", make_documents.packed({})), BrokenMediaError)
    empty = make_documents.packed({"word/document.xml": "<d/>"})
    assert words(empty) == ""


def test_rich_text_and_mail_that_mean_harm(tmp_path: Path) -> None:
    assert "truncated" in refused(b"{\\rtf1 never closed")
    refused(b"{\\rtf1" + b"{" * 200_000)
    assert words(b"{\\rtf1 a" + b"}" * 100_000) == "a"
    fonts = b"{\\rtf1{\\fonttbl" + b"\\f1" * 100_000 + b"}after}"
    assert words(fonts) == "after"
    deep = "".join(
        f'Content-Type: multipart/mixed; boundary="{at}"\n\n--{at}\n' for at in range(3_000)
    )
    path = named(tmp_path, "deep.eml", "Subject: nested\n" + deep)
    assert "nested" in refused(path, BrokenMediaError)
    liar = "Subject: x\nContent-Type: text/plain; charset=no-such\n\nStill here"
    assert "Still here" in words(named(tmp_path, "liar.eml", liar))
    assert words(named(tmp_path, "deep.json", "[" * 200_000)) != ""
    assert words(named(tmp_path, "open.csv", 'a,"' + "b " * 200_000)).startswith("a,")


@pytest.mark.parametrize("tag", ["<?xml ", "<!DOCTYPE svg [", "<!--", "<a href='", "</"])
def test_a_page_whose_tags_never_end(tag: str, tmp_path: Path) -> None:
    for lead in ("<p>Words</p>", "--> " * 50_000):
        path = named(tmp_path, "x.html", lead + tag * 100_000)
        assert "never ends" in refused(path, BrokenMediaError)


def test_known_formats_that_are_not_read_say_so(tmp_path: Path) -> None:
    for name, head in (
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
        ("a.jxl", b"\xff\x0a" + bytes(100)),
        ("b.jxl", b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(100)),
        ("a.psb", b"8BPS\x00\x02" + bytes(100)),
        ("a.xml", b"<note>words</note>"),
    ):
        with pytest.raises(UnsupportedMediaError):
            media.probe(named(tmp_path, name, head))


def test_no_suffix_is_listed_twice() -> None:
    listed = [s for item in (*media.FORMATS, *media.UNREAD_FORMATS) for s in item.suffixes]
    assert len(listed) == len(set(listed))
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in listed)
