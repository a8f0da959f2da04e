"""Read vectors that were made elsewhere, with what they are of, a block at a time.

FILE.parquet, FOLDER.lance   a column of vectors, and columns that say what they are of
FILE.npy                     vectors; FILE.jsonl or FILE.parquet beside it says what they are of
FILE.npz                     arrays: vectors, and one for each column
FOLDER                       several such files, in the order of their names; or `img_emb`,
                             `text_emb` and `metadata`, as clip-retrieval makes them
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seehear.errors import UsageError
from seehear.types import Modality
from seehear.vector_export import BLOCK, SPACE_OF_FILE

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".npy", ".npz", ".lance")
_NAMES = ("vector", "embedding")
"""Columns that are taken for the vectors where there are several of numbers."""
_FOLDERS = {"img_emb": Modality.IMAGE, "text_emb": Modality.TEXT}
"""The folders of clip-retrieval."""
_MOST_ROW_BYTES = 1 << 18
"""Most bytes of a row of an array: a file may claim any number."""

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class VectorBlock:
    """Some rows of one file."""

    file: Path
    first: int
    """The number of the first row in its file, from 0."""
    space: str | None
    """The key of the space, where the file says it."""
    modality: Modality | None
    """What the folder is named for."""
    columns: Columns
    """What the rows are of, by column; each has as many values as there are rows."""
    vectors: NDArray[np.floating[Any]]
    """float (n, dim), as the file has them."""


@dataclass(frozen=True, slots=True)
class _Input:
    file: Path
    described: Path | None = None
    """The file that says what vectors of a .npy are of."""
    modality: Modality | None = None


def read_blocks(
    path: Path,
    *,
    metadata: Path | None = None,
    modality: Modality | None = None,
    column: str | None = None,
) -> Iterator[VectorBlock]:
    """Yield vectors and what they are of; at most BLOCK are in memory.

    `metadata` is the file or folder that says what the vectors of .npy files are of. `modality`
    chooses one of the two folders of clip-retrieval. `column` names the vectors.

    Raises UsageError for what is missing, damaged, cut off or of another shape,
    EnvironmentFaultError without pyarrow or pylance.
    """
    for one in _inputs(path, metadata, modality):
        first = 0
        with _told(one.file), ExitStack() as open_files:
            for space, columns, vectors in _read(one, column, open_files):
                if vectors.dtype.kind != "f" or vectors.ndim != 2:
                    raise UsageError(
                        f"{one.file} has {vectors.dtype} {vectors.shape}: vectors are rows of "
                        "float32 or float16"
                    )
                yield VectorBlock(one.file, first, space, one.modality, columns, vectors)
                first += len(vectors)


def _inputs(path: Path, metadata: Path | None, modality: Modality | None) -> list[_Input]:
    """Return the files to read, each with the one that describes it."""
    if not path.exists():
        raise UsageError(f"no file or folder {path}")
    kind: Modality | None = None
    if path.is_dir() and not _is_lance(path):
        named = {folder: kind for folder, kind in _FOLDERS.items() if (path / folder).is_dir()}
        for folder, made_of in named.items():
            if modality is None or made_of is modality or len(named) == 1:
                metadata = metadata or (path / "metadata" if (path / "metadata").is_dir() else None)
                path, kind = path / folder, made_of
                break
    vectors = _files(path, SUFFIXES)
    if not vectors:
        raise UsageError(f"{path} has no vectors: those are in {', '.join(SUFFIXES)}")
    if metadata is None:
        arrays = {file.stem for file in vectors if file.suffix == ".npy"}
        vectors = [one for one in vectors if one.suffix == ".npy" or one.stem not in arrays]
        return [_Input(one, _beside(one), kind) for one in vectors]
    if not metadata.exists():
        raise UsageError(f"no file or folder {metadata}")
    described = _files(metadata, (".parquet", ".jsonl"))
    if len(described) != len(vectors) or any(one.suffix != ".npy" for one in vectors):
        raise UsageError(
            f"{metadata} has {len(described)} files of metadata (.parquet, .jsonl) for "
            f"{len(vectors)} files of vectors (.npy) in {path}: give one for each"
        )
    return [_Input(one, about, kind) for one, about in zip(vectors, described, strict=True)]


def _files(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return a file, or those of a folder in the order of their names, numbers as numbers."""
    if not path.is_dir() or _is_lance(path):
        return [path] if path.suffix in suffixes or _is_lance(path) else []

    def order(file: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in _parts(file.name)]

    return sorted((one for one in path.iterdir() if one.suffix in suffixes), key=order)


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"([0-9]+)", name) if part]


def _is_lance(path: Path) -> bool:
    return path.is_dir() and (path.suffix == ".lance" or (path / "_versions").is_dir())


def _beside(file: Path) -> Path | None:
    if file.suffix != ".npy":
        return None
    beside = (file.with_suffix(suffix) for suffix in (".jsonl", ".parquet"))
    return next((one for one in beside if one.is_file()), None)


_Rows = tuple[str | None, Columns, NDArray[Any]]
_About = tuple[str | None, Columns, int]
"""What some rows of an array are of, and how many they are: columns may be none."""


def _read(one: _Input, column: str | None, open_files: ExitStack) -> Iterator[_Rows]:
    if one.file.suffix == ".parquet":
        yield from _read_parquet(one.file, column, open_files)
    elif one.file.suffix == ".npz":
        yield from _read_npz(open_files.enter_context(zipfile.ZipFile(one.file)), one.file, column)
    elif one.file.suffix == ".npy":
        array = _Array(open_files.enter_context(one.file.open("rb")), one.file)
        yield from _read_npy(array, one, open_files)
    else:
        import lance

        data = lance.dataset(str(one.file))
        yield from _from_arrow(
            data.scanner(batch_size=BLOCK).to_batches(), data.schema, one, column
        )


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Name a file that cannot be read, in one line."""
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        said = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
        # Lance ends its messages with the line of its own source.
        said = said.splitlines()[0].partition(", /")[0][:200].rstrip(".")
        raise UsageError(f"cannot read {file}: {said}. Is it whole?") from None


# ---------------------------------------------------------------- Parquet and Lance, by Arrow


def _read_parquet(file: Path, column: str | None, open_files: ExitStack) -> Iterator[_Rows]:
    """Read a file of Parquet without buffering whole groups of rows."""
    import pyarrow.parquet as pq

    source = open_files.enter_context(pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20))
    batches = source.iter_batches(batch_size=BLOCK)
    yield from _from_arrow(batches, source.schema_arrow, _Input(file), column)


def _from_arrow(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, one: _Input, column: str | None
) -> Iterator[_Rows]:
    import pyarrow as pa

    is_list = (pa.types.is_list, pa.types.is_fixed_size_list, pa.types.is_large_list)
    is_number = (pa.types.is_floating, pa.types.is_integer)
    lists = [
        field.name
        for field in schema
        if any(test(field.type) for test in is_list)
        and any(test(field.type.value_type) for test in is_number)
    ]
    name = _column_of_vectors(one.file, lists, schema.names, column)
    space = (schema.metadata or {}).get(SPACE_OF_FILE.encode())
    for batch in batches:
        values = batch.column(name)
        counts = set(values.value_lengths().to_pylist())
        flat = values.flatten()
        if len(counts) > 1 or values.null_count or flat.null_count:
            raise UsageError(
                f"{one.file} has rows without a vector, or of other lengths, in {name}"
            )
        vectors = flat.to_numpy(zero_copy_only=False).reshape(len(batch), -1)
        columns = {
            other: batch.column(other).to_pylist() for other in schema.names if other != name
        }
        yield None if space is None else space.decode(), columns, vectors


def _column_of_vectors(
    file: Path, lists: Sequence[str], names: Sequence[str], column: str | None
) -> str:
    wanted = [column] if column is not None else _NAMES if len(lists) > 1 else lists
    found = [name for name in wanted if name in lists]
    if not found:
        listed = ", ".join(lists or names) or "none"
        raise UsageError(
            f"{file} has no column {column} of vectors: it has {listed}"
            if column is not None
            else f"{file} has several columns of vectors: choose one of {listed} (--column)"
            if lists
            else f"{file} has no column of vectors: its columns are {listed}"
        )
    return found[0]


# ------------------------------------------------------------------------------------- numpy


class _Array:
    """An array of numpy in a file, read from its beginning on. Nothing is unpickled."""

    def __init__(self, file: IO[bytes], name: Path) -> None:
        self._file, self._name = file, name
        major, _ = np.lib.format.read_magic(file)
        read = {
            1: np.lib.format.read_array_header_1_0,
            2: np.lib.format.read_array_header_2_0,
        }.get(major)
        if read is None:
            raise UsageError(f"{name} has arrays with names: give plain arrays")
        self.shape, by_columns, self.dtype = read(file)
        if self.dtype.hasobject or self.dtype.kind not in "fiubUSM":
            raise UsageError(f"{name} has an array of {self.dtype}: give numbers, texts or dates")
        width = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        if width > _MOST_ROW_BYTES or len(self.shape) > 2 or (by_columns and len(self.shape) > 1):
            raise UsageError(
                f"{name} has an array {self.shape} of {self.dtype}: give rows of numbers, in the "
                "order of C"
            )

    def __len__(self) -> int:
        return int(self.shape[0]) if self.shape else 1

    def read(self, rows: int) -> NDArray[Any]:
        """Return the next rows. Raises UsageError where the file ends before them."""
        shape = (rows, *self.shape[1:])
        count = int(np.prod(shape))
        data = self._file.read(count * self.dtype.itemsize)
        if len(data) != count * self.dtype.itemsize:
            raise UsageError(f"{self._name} is cut off: it ends before its {len(self)} rows")
        return np.frombuffer(data, self.dtype).reshape(shape)

    def read_values(self, rows: int) -> list[Any]:
        """Return the next rows of an array with one dimension as values of Python."""
        values = self.read(rows)
        if values.dtype.kind == "M":
            is_day = np.datetime_data(values.dtype)[0] in {"Y", "M", "W", "D"}
            values = values.astype(f"datetime64[{'D' if is_day else 'us'}]")
        if values.dtype.kind == "S":
            return [one.decode("utf-8", "replace") for one in values.tolist()]
        return values.tolist()  # type: ignore[no-any-return]


def _read_npy(array: _Array, one: _Input, open_files: ExitStack) -> Iterator[_Rows]:
    done = 0
    for space, columns, rows in _described(one, len(array), open_files):
        if done + rows > len(array):
            raise UsageError(
                f"{one.described} describes more than the {len(array)} rows of {one.file}"
            )
        yield space, columns, array.read(rows)
        done += rows
    if done < len(array):
        raise UsageError(f"{one.described} describes {done} of the {len(array)} rows of {one.file}")


def _described(one: _Input, count: int, open_files: ExitStack) -> Iterator[_About]:
    if one.described is None:
        yield from ((None, {}, min(BLOCK, count - at)) for at in range(0, count, BLOCK))
    elif one.described.suffix == ".parquet":
        import pyarrow.parquet as pq

        with _told(one.described):
            source = open_files.enter_context(pq.ParquetFile(one.described, pre_buffer=False))
            for batch in source.iter_batches(batch_size=BLOCK):
                yield None, batch.to_pydict(), len(batch)
    else:
        lines = open_files.enter_context(
            one.described.open(encoding="utf-8", errors="surrogateescape")
        )
        yield from _described_by_lines(lines, one.described)


def _described_by_lines(lines: IO[str], file: Path) -> Iterator[_About]:
    told: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise UsageError(f"{file}, line {number}: give an object of JSON, a line for each row")
        told.append(row)
        if len(told) == BLOCK:
            yield _columns_of(told)
            told = []
    if told:
        yield _columns_of(told)


def _columns_of(told: Sequence[Mapping[str, Any]]) -> _About:
    names = dict.fromkeys(name for row in told for name in row)
    columns = {name: [row.get(name) for row in told] for name in names}
    spaces = columns.pop(SPACE_OF_FILE, [None])
    return (spaces[0] if isinstance(spaces[0], str) else None), columns, len(told)


def _read_npz(archive: zipfile.ZipFile, file: Path, column: str | None) -> Iterator[_Rows]:
    arrays = {
        entry.filename.removesuffix(".npy"): _Array(archive.open(entry), file)
        for entry in archive.infolist()
        if entry.filename.endswith(".npy")
    }
    lists = [name for name, array in arrays.items() if len(array.shape) == 2]
    name = _column_of_vectors(file, lists, list(arrays), column)
    space = next(
        (
            str(array.read(1).tolist()[0])
            for key, array in arrays.items()
            if key == SPACE_OF_FILE and not array.shape
        ),
        None,
    )
    count = len(arrays[name])
    described = {key: one for key, one in arrays.items() if len(one.shape) == 1}
    for key, array in described.items():
        if len(array) != count:
            raise UsageError(f"{file} has {len(array)} values in {key} for {count} vectors")
    for start in range(0, count, BLOCK):
        rows = min(BLOCK, count - start)
        columns = {key: array.read_values(rows) for key, array in described.items()}
        yield space, columns, arrays[name].read(rows)
