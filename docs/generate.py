"""Write the reference pages from the code itself: `python docs/generate.py`.

docs/commands.md comes from the command line, docs/formats.md from the list of formats,
docs/python.md from the names in `seehear.__all__`.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

import seehear
from seehear import media
from seehear.cli.app import make_app
from seehear.media import decode, documents, sniff

HEADER = """# Commands

Written by `python docs/generate.py` from the commands' own help; a test keeps it current.
A file that exists is replaced only with `--force`, and a link or a folder never.
Exit status: 0 done, 1 an error (one line on standard error), 2 wrong usage, 3 files failed under
`index --strict`, 130 interrupted. Results go to standard output, everything else to standard error.
The environment: `SEEHEAR_COLLECTION`, `SEEHEAR_MODEL`, `SEEHEAR_SPEECH_MODEL`, `SEEHEAR_DEVICE`,
`SEEHEAR_BATCH_SIZE`, `SEEHEAR_WORKERS`, `SEEHEAR_DATABASE`, `SEEHEAR_VECTORS`, `SEEHEAR_CACHE`,
`SEEHEAR_PREVIEW`, `SEEHEAR_FOLLOW_LINKS`, `SEEHEAR_MODEL_ALIASES`, `SEEHEAR_TOKEN`.

To complete commands with the Tab key, add a script that seehear prints to your shell's start file
and open a new terminal:

    seehear --show-completion >> ~/.bashrc      # zsh: ~/.zshrc
"""


def command_page() -> str:
    """The whole page as Markdown."""
    commands = typer.main.get_group(make_app()).commands
    return "\n".join([HEADER, *(_section(name, commands[name]) for name in commands)])


def _section(name: str, command: Any) -> str:
    usage = ["seehear", name]
    rows = []
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            shown = parameter.metavar or parameter.name.upper()
            usage.append(shown if parameter.required else f"[{shown}]")
        else:
            value = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
            shown = ", ".join(parameter.opts) + value
        rows.append(f"| `{shown}` | {parameter.help or ''} |")
    table = "\n".join(["| option | meaning |", "| --- | --- |", *rows])
    return f"## seehear {name}\n\n{command.help}\n\n    {' '.join(usage)} [OPTIONS]\n\n{table}\n"


PYTHON_HEADER = """# Python

Written by `python docs/generate.py` from the public names of `seehear`; a test keeps it current and
runs the examples.

```python
import numpy as np

import seehear

library = seehear.open("~/seehear")  # the collection; the media stay where they are
report = library.index("~/Pictures")
print(report.added, "added", report.failed, "failed")

for hit in library.search("a dog on a beach", k=5):
    print(f"{hit.score:.2f} {hit.modality} {hit.path}")
```

Search by a file, leave something out, and choose the kinds of file:

```python
hits = library.search(image="~/Pictures/cat.jpg", without="people", modalities={"image", "audio"})
```

Search by what a program holds, such as an array of pixels, or samples with their rate:

```python
pixels = np.zeros((48, 64, 3), dtype=np.uint8)  # or a PIL image, bytes, an open file, a data URL
hits = library.search("at night", image=pixels)
hits = library.search(audio=(np.sin(np.arange(32_000) / 20), 16_000))
```

Get the vectors, and search by vectors:

```python
found = library.embed(["the sea", "a dog on a beach"])
print(found.array.shape)  # float32 (2, dim)
hits = library.search(vectors=found[1:])
```

Add what a program holds, with ids and fields of its own, and filter by the fields:

```python
red, blue = np.zeros((2, 48, 64, 3), dtype=np.uint8)
red[..., 0], blue[..., 2] = 255, 255
library.add(
    images=[red, blue],
    ids=["shoe-1", "shoe-2"],
    metadata=[{"price": 120, "colour": "red"}, {"price": 80.5, "colour": "blue"}],
)
hits = library.search(image=red, where='price < 100 and colour = "blue"')
print(hits[0].id, hits[0].fields)

library.update("shoe-2", {"price": 75})
print(library.get("shoe-2"), library.facets("colour"), len(library))
page = library.items(where="price < 100", limit=50)  # then cursor=page.cursor
library.delete(["shoe-1"])
```

No index run touches items. Of a text all is kept, of an image a preview whose shorter side is what
the model sees, and with `keep=True` the bytes of any medium: from that, another model can encode
it (`upgrade`). Vectors that were made elsewhere come with their space:

```python
(space,) = library.model().spaces_of(seehear.Modality.IMAGE)
rows = np.random.default_rng(0).normal(size=(2, space.dim)).astype(np.float32)
vectors = seehear.Embeddings(seehear.Modality.IMAGE, {space: rows})
library.add(vectors=vectors, ids=["made-1", "made-2"])
```

Vectors leave with ids, paths, times and fields, and come in the same way, also those that
clip-retrieval, embedding-reader or a program of yours has made in a space of the model: a thousand
in memory at a time. A file that does not say in which space its vectors are needs `space`. What
comes in is added in one step, all or nothing; the items have their vectors, not the media.

```python
count = library.export_vectors("~/vectors.npy", modalities="image", force=True)  # .parquet, .lance
with seehear.open("~/elsewhere") as other:
    items = other.import_vectors("~/vectors.npy")
    # other.import_vectors("embeddings", space="clip", metadata="metadata", modality="image")
```

Ask several questions at once. A list of texts for `search` is one question, which all of them
describe; `all_of` says so:

```python
seas, dogs = library.search_many(["the sea", "a dog"], k=5)
one = library.search(all_of=["the sea", "a dog"])  # as search(["the sea", "a dog"])
```

72 questions asked together cost .41 of the processor time of one after the other, among 20,000
vectors (`python -m benchmarks.bench_many`).

A collection may be used from several threads; calls that change it wait for each other. On asyncio:

```python
import asyncio


async def ask():
    async with await seehear.aopen("~/seehear") as shared:
        return await asyncio.gather(shared.search("the sea"), shared.search("a dog"))


seas, dogs = asyncio.run(ask())
```

Use filters, and leave out weak matches:

```python
hits = library.search("the sea", where="size < 20MB", min_score=0.3)
good = [hit for hit in hits if not hit.weak]
```

Find more like one hit and less like another:

```python
first, second = library.search("an animal", k=2)
hits = library.search("an animal", like=[first], unlike=[second])
```

Catch errors: each is one line that says what to do.

```python
try:
    library.search("the sea", where="color = blue")
except seehear.UsageError as error:
    print(error)

library.close()
```

`seehear.to_pandas(hits)` and `seehear.to_arrow(hits)` make tables of hits, or of items.

`PathLike` is a `str` or a `pathlib.Path`; `Media` is such a path, or bytes, an open file, a data
URL, a PIL image, pixels as uint8 (height, width, 3), or a sound as (samples, rate_hz). `Modalities`
is one or several of "text", "image", "audio" and "video", or their plurals.
"""


class _Unquoted(str):
    """An annotation as it is written, without the quotes of a string."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def python_page() -> str:
    """Return docs/python.md as Markdown."""
    values = {name: getattr(seehear, name) for name in seehear.__all__}
    errors = {n: v for n, v in values.items() if inspect.isclass(v) and issubclass(v, Exception)}
    sections = [PYTHON_HEADER]
    for name, value in values.items():
        if name in errors:
            continue
        if inspect.isclass(value):
            sections += _class_sections(name, value)
        else:
            sections.append(_function_section(f"## seehear.{name}", f"seehear.{name}", value))
    rows = [
        f"| `{name}` | `{kind.__mro__[1].__name__}` | {_first_line(kind)} |"
        for name, kind in errors.items()
    ]
    table = ["| error | is a | meaning |", "| --- | --- | --- |", *rows]
    sections.append("## Errors\n\n" + "\n".join(table) + "\n")
    return "\n".join(sections)


def _class_sections(name: str, kind: type) -> Iterator[str]:
    if issubclass(kind, enum.Enum):
        values = ", ".join(f"`{member.value}`" for member in kind)
        yield f"## seehear.{name}\n\n{_prose(kind)}\n\nValues: {values}.\n"
        return
    if dataclasses.is_dataclass(kind):
        yield f"## seehear.{name}\n\n{_prose(kind)}\n\n{_field_table(kind)}\n"
    else:
        yield _function_section(f"## seehear.{name}", f"seehear.{name}", kind)
    members = [pair for base in kind.__mro__[:-1] for pair in vars(base).items()]
    for member, value in members:
        if member.startswith("_"):
            continue
        owner = name[0].lower() + name[1:]
        if isinstance(value, property):
            yield f"### {owner}.{member}\n\n{_prose(value)}\n"
        elif inspect.isfunction(value):
            yield _function_section(f"### {owner}.{member}", f"{owner}.{member}", value, bound=True)
        elif isinstance(value, classmethod):
            yield _function_section(
                f"### {name}.{member}", f"{name}.{member}", value.__func__, bound=True
            )


def _function_section(title: str, call: str, value: Callable[..., Any], bound: bool = False) -> str:
    signature = inspect.signature(value)
    parameters = list(signature.parameters.values())[1 if bound else 0 :]
    shown = [str(p.replace(annotation=_unquoted(p.annotation))) for p in parameters]
    kinds = [parameter.kind for parameter in parameters]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        shown.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    result = "" if inspect.isclass(value) else f" -> {signature.return_annotation}"
    line = f"{call}({', '.join(shown)}){result}"
    if len(line) > 88:
        inner = "".join(f"    {parameter},\n" for parameter in shown)
        line = f"{call}(\n{inner}){result}"
    return f"{title}\n\n```\n{line}\n```\n\n{_prose(value)}\n"


def _unquoted(annotation: Any) -> Any:
    return _Unquoted(annotation) if isinstance(annotation, str) else annotation


def _field_table(kind: Any) -> str:
    """Return the fields of a dataclass with their types, defaults and the strings below them."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    rows = []
    for statement, below in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
        if not isinstance(statement, ast.AnnAssign):
            continue
        default = ast.unparse(statement.value) if statement.value is not None else ""
        if isinstance(statement.value, ast.Name):  # a constant: show its value
            default = repr(getattr(inspect.getmodule(kind), default))
        elif default.startswith("field("):
            default = ""
        meaning = ""
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            meaning = " ".join(str(below.value.value).split())
        annotation = ast.unparse(statement.annotation).replace("|", "\\|")
        cell = f"`{default}`" if default else ""
        rows.append(f"| `{ast.unparse(statement.target)}` | `{annotation}` | {cell} | {meaning} |")
    head = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def _first_line(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0]


def _prose(value: Any) -> str:
    """Return a docstring as Markdown: its arguments become a list."""
    text = inspect.getdoc(value) or ""
    before, heading, arguments = text.partition("Args:\n")
    if not heading:
        return text
    block, _, after = arguments.partition("\n\n")
    items = re.sub(r"\n\s{6,}", " ", block)  # a longer meaning goes on in the next line
    listed = re.sub(r"(?m)^ *([\w, ]+): ", r"- `\1`: ", items)
    return f"{before}{listed}\n\n{after}".strip()


FORMATS_HEADER = """# Formats

Written by `python docs/generate.py` from the list that `seehear formats` prints; a test keeps it
current. What a file is, its content decides: a photo without a suffix is read, and a text that is
named .jpg is reported as broken. Files of other kinds are skipped and counted by suffix in the
summary of `seehear index`, in `seehear status` and in `seehear files`.

## Read

| kind | type | suffixes | what is read | limit |
| --- | --- | --- | --- | --- |
"""
RECOGNISED_HEADER = """
## How each format is recognised

The format is what `seehear` stores for a file and what `where="format = ..."` compares. Sound in a
container of films has a name of its own: m4a (mp4, mov, 3gp), mka (mkv), wma (asf), opus (ogg); so
have films in containers of sound: wmv (asf), ogv (ogg).

| format | kind | recognised by | decoder | largest file |
| --- | --- | --- | --- | --- |
"""
PARTIAL = """
## Read in part

What common programs show or play is read, however the file is damaged: data of other programs
before or behind it, wrong sums and sizes, missing last marks, packets that cannot be decoded (up to
half of them). What was cut off is read up to there and is *partial*: the detail `partial` of its
asset says what is missing, for example "cut off after 12.4 s of 30.0 s" or "cut off: the last 33 %
of the picture is missing". A failure with one line remains what has less than a quarter of a
picture, no index (an MP4 that is cut off before its `moov` box, a zip archive without its
directory), or nothing that can be decoded.
"""
LIMITS_HEADER = """
## Limits

A file beyond a limit is a failure with one line. Where it says "read", the rest is left out.

| limit | value | why |
| --- | --- | --- |
"""
NOT_READ_HEADER = """
## Not read

| kind | suffixes | why, and what to do |
| --- | --- | --- |
"""


def format_page() -> str:
    """The page of formats as Markdown."""
    read = "".join(
        f"| {item.name} | {item.modality} | {_listed(item.suffixes)} | {item.content} "
        f"| {item.limit} |\n"
        for item in media.FORMATS
    )
    unread = "".join(
        f"| {item.name} | {_listed(item.suffixes)} | {item.reason} |\n"
        for item in media.UNREAD_FORMATS
    )
    return "".join(
        (
            FORMATS_HEADER, read, PARTIAL, RECOGNISED_HEADER, *_recognised_rows(),
            LIMITS_HEADER, *_limit_rows(), NOT_READ_HEADER, unread,
        )
    )  # fmt: skip


def _recognised_rows() -> Iterator[str]:
    """Yield a row for each format of the tables in sniff.py and of the packed documents."""
    bytes_, name_ = "its first bytes", "its suffix, if it is text"
    found = [(name, sniff.Decoder.PILLOW, bytes_) for _, name, _ in sniff._PILLOW]
    found += [(name, sniff.Decoder.PILLOW, bytes_) for name in ("tiff", "heic", "avif")]
    found += [(name, sniff.Decoder.RAW, bytes_) for _, name in sniff._RAW]
    found += [(name, sniff.Decoder.RAW, bytes_) for name in ("cr3", "dng")]
    found += [
        (suffix[1:], sniff.Decoder.RAW, "tags of a TIFF and its suffix")
        for suffix in sorted(media.RAW_SUFFIXES)
    ]
    found += [(name, sniff.Decoder.FFMPEG, bytes_) for _, name, _ in sniff._FFMPEG]
    found += [
        (name, sniff.Decoder.FFMPEG, "two frames or four packets in a row")
        for name in ("mp3", "mp2", "aac", "ts")
    ]
    found += [(name, sniff.Decoder.FFMPEG, bytes_) for name in ("webm", "mp4", "3gp")]
    found += [("svg", sniff.Decoder.SVG, bytes_), ("pdf", sniff.Decoder.PDF, bytes_)]
    found += [
        (name, sniff.Decoder.ARCHIVE, "the names of the files in it")
        for name in (*documents._PARTS, "epub")
    ]
    found += [(name, sniff.Decoder.TEXT, bytes_) for name in ("rtf", "html", "srt", "vtt", "ass")]
    texts = {*sniff._TEXT_FORMATS.values(), "txt"}
    found += [(name, sniff.Decoder.TEXT, name_) for name in sorted(texts)]
    seen: set[str] = set()
    for name, reader, means in found:
        if name not in seen:
            limit = _in_bytes(decode._BYTE_LIMITS[reader])
            yield f"| {name} | {_KINDS[reader]} | {means} | {_READERS[reader]} | {limit} |\n"
        seen.add(name)


_KINDS = {
    sniff.Decoder.PILLOW: "image", sniff.Decoder.RAW: "image", sniff.Decoder.SVG: "image",
    sniff.Decoder.FFMPEG: "audio or video", sniff.Decoder.PDF: "text",
    sniff.Decoder.ARCHIVE: "text", sniff.Decoder.TEXT: "text",
}  # fmt: skip
_READERS = {
    sniff.Decoder.PILLOW: "Pillow", sniff.Decoder.RAW: "LibRaw", sniff.Decoder.SVG: "resvg",
    sniff.Decoder.FFMPEG: "FFmpeg", sniff.Decoder.PDF: "pypdf",
    sniff.Decoder.ARCHIVE: "seehear (expat)", sniff.Decoder.TEXT: "seehear",
}  # fmt: skip


def _in_bytes(size: int) -> str:
    return next(f"{size >> bits} {unit}" for bits, unit in _UNITS if size >= 1 << bits)


_UNITS = ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "bytes"))


def _limit_rows() -> Iterator[str]:
    """Yield a row for each field of `Limits`, with the string below it."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(media.Limits))).body
    assert isinstance(tree, ast.ClassDef)
    for statement, below in itertools.pairwise(tree.body):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(below, ast.Expr):
            continue
        assert isinstance(below.value, ast.Constant)
        name, why = ast.unparse(statement.target), " ".join(str(below.value.value).split())
        value = getattr(media.LIMITS, name)
        shown = _in_bytes(value) if name.endswith("_bytes") else f"{value:,g}"
        if name.endswith("duration_s"):
            shown = f"{value / 3600:g} hours"
        elif isinstance(value, int) and not name.endswith("_bytes"):
            shown = f"{value:,}"
        yield f"| `{name}` | {shown} | {why} |\n"


def _listed(suffixes: tuple[str, ...]) -> str:
    return " ".join(f"`{suffix}`" for suffix in suffixes)


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": command_page,
    "formats.md": format_page,
    "python.md": python_page,
}
"""The generated pages by file name."""


if __name__ == "__main__":
    for file, page in PAGES.items():
        (Path(__file__).parent / file).write_text(page(), encoding="utf-8")
