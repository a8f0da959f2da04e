"""FAISS's own two stages in the place of ours: searched as the others, and changed and damaged.

Compressed codes and, for the rerank, half precision in one file of FAISS, whose exact rows are
mapped. Lists and candidates are set as for ours: by queries that are made of the collection's own
vectors, not by those that are timed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import memory
from benchmarks.vector_rivals import (
    DEPTHS,
    OURS,
    TRIED,
    K,
    Opened,
    Task,
    Trial,
    filled_faiss,
    ours,
    set_least,
)
from seehear.stores.vectors.ivf_pq_refine import tuning_queries
from seehear.stores.vectors.vector_file import VectorFile, to_float16
from seehear.types import Ids, Vectors

REFINED = {
    "faiss-refine": "IVF{lists},PQ{pairs}x4fs,Refine(SQfp16)",
    "faiss-refine-short": "IVF{lists},PQ{parts}x4fs,Refine(SQfp16)",
}
"""Kinds that FAISS reranks by itself, from half precision in its own file, which is mapped."""
REFINED_AIM = 0.994
"""Recall that REFINED are set for, on the same queries and with the same margin as ours."""
CHANGED = 1_000
"""Vectors that are added and removed."""
CHANGED_QUERIES = 64


def build(name: str, task: Task) -> None:
    """Build as FAISS, and set width and depth by queries made of the collection's own vectors."""
    import faiss

    index, factory = filled_faiss(REFINED[name], task)
    faiss.write_index(index, str(task.own / "index"))
    vectors = task.vectors()
    kept = np.concatenate([to_float16(rows) for _, rows in task.chunks()])
    asked, truth = tuning_queries(VectorFile(np.arange(len(vectors)), kept))
    setting = {"factory": factory, "width": 1, "depth": K}

    def put(**some: int) -> None:
        setting.update(some)
        _set_to(index, setting)

    setting["width"] = set_least(
        lambda queries: np.asarray(index.search(queries, K)[1]),
        lambda width: put(width=width),
        int(len(vectors) ** 0.5),
        lambda depth: put(depth=depth),
        DEPTHS,
        Trial(asked[:TRIED], truth[:TRIED, :K], REFINED_AIM),
    )
    (task.own / "setting").write_text(json.dumps(setting))


def _set_to(index: Any, setting: Mapping[str, Any]) -> None:
    """Set how many lists FAISS scans and how many candidates it reranks."""
    import faiss

    space: Any = faiss.ParameterSpace()
    space.set_index_parameters(
        index, f"nprobe={setting['width']},k_factor_rf={setting['depth'] / K}"
    )


def mapped(task: Task) -> tuple[Any, dict[str, Any]]:
    """Open one of REFINED with its exact rows mapped, as it was set."""
    import faiss

    index: Any = faiss.read_index(str(task.own / "index"), faiss.IO_FLAG_MMAP_IFC)
    setting = json.loads((task.own / "setting").read_text())
    _set_to(index, setting)
    return index, setting


def opened(_: str, task: Task) -> Opened:
    index, setting = mapped(task)
    note = "{factory}, width {width}, {depth} reranked".format(**setting)
    return (lambda queries: np.asarray(index.search(queries, K)[1])), note


def changes(name: str, task: Task) -> dict[str, Any]:
    """Measure what a cache must do besides searching: open, add, remove, and notice damage.

    Times are of the processor, in milliseconds. `damage` says for each kind of damage what
    happened: "noticed", or "not noticed". A process that opens the damaged file tells it.
    """
    import faiss

    queries = task.queries()[:CHANGED_QUERIES]
    ids = np.arange(CHANGED)
    new, rows = len(task.vectors()) + ids, np.ascontiguousarray(task.vectors()[:CHANGED])
    memory.give_back()
    before = memory.resident()
    took: dict[str, Any] = {}

    def timed(what: str, call: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = call()
        took[f"{what}_ms"] = round(1e3 * (time.process_time() - started), 2)
        return result

    index: Any = timed("open", lambda: ours(task) if name == OURS else mapped(task)[0])
    after = memory.resident()
    if before is not None and after is not None:
        took["opened_own_mib"] = round((after.own - before.own) / 2**20)
        took["opened_files_mib"] = round((after.files - before.files) / 2**20)
    search = _one_by_one(index, name)
    timed("first_searches", lambda: search(queries))
    timed("second_searches", lambda: search(queries))
    if name == OURS:
        none = np.empty((0, rows.shape[1]), np.float32)
        timed("add", lambda: index.updated(ids[:0], new, rows))
        timed("remove", lambda: index.updated(ids, ids[:0], none))
    else:
        # FAISS changes an index in place, and ends the process where its rows are mapped. So that
        # searches under way see one state, rows are read into memory, and all is copied.
        whole = timed("read_whole", lambda: faiss.read_index(str(task.own / "index")))
        twin = timed("copy", lambda: faiss.clone_index(whole))
        timed("add", lambda: twin.add(rows))
        del twin, whole
        gone = timed("remove", lambda: faiss.IDSelectorNot(faiss.IDSelectorBatch(ids)))
        without = _one_by_one(index, name, gone)
        timed("searches_without_removed", lambda: without(queries))
    files = [task.own / "m", task.own / "p"] if name == OURS else [task.own / "index"]
    timed("digest", lambda: [hashlib.file_digest(file.open("rb"), "blake2b") for file in files])
    took["damage"] = {
        "a byte of an exact row": _damaged(name, task, files[0], "row"),
        "a byte of the codes": _damaged(name, task, files[-1], "codes"),
        "cut to half before opening": _damaged(name, task, files[0], "cut"),
    }
    return took


def _one_by_one(index: Any, name: str, selected: Any = None) -> Callable[[Vectors], Ids]:
    """Search one query at a time, in FAISS only among ids of a selector."""
    import faiss

    library: Any = faiss

    def search(queries: Vectors) -> Ids:
        if name == OURS:
            return np.concatenate([index.search(query[None], K)[1] for query in queries])
        options = None
        if selected is not None:
            lists = faiss.extract_index_ivf(index.base_index).nprobe
            inner = library.IVFSearchParameters(nprobe=lists, sel=selected)
            options = library.IndexRefineSearchParameters(
                k_factor=index.k_factor, base_index_params=inner
            )
        found = [index.search(query[None], K, params=options)[1] for query in queries]
        return np.concatenate(found)

    return search


def _damaged(name: str, task: Task, file: Path, what: str) -> str:
    """Damage a file, let another process open and search it, repair it; what that process said."""
    size = file.stat().st_size
    nearest = int(task.truth()[0, 0])
    row = to_float16(task.vectors()[nearest]).tobytes()
    with file.open("r+b") as opened_file:
        with mmap(opened_file.fileno(), 0, access=ACCESS_READ) as content:
            at = {"row": content.find(row) + 1, "codes": size // 20, "cut": size // 2}[what]
            lost = content[at:] if what == "cut" else content[at : at + 1]
        if what == "cut":
            opened_file.truncate(at)
        else:
            opened_file.seek(at)
            opened_file.write(bytes([lost[0] ^ 0x7F]))
        opened_file.flush()
        options = ["--folder", str(task.folder), "--threads", "1"]
        command = [sys.executable, "-m", "benchmarks.bench_vectors", "--damage", name, *options]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        opened_file.seek(at)
        opened_file.write(lost)
    return said.stdout.strip() if said.returncode == 0 else f"the process ended: {said.returncode}"


def damage(name: str, task: Task) -> str:
    """Open what may be damaged and search it: whether anything was noticed."""
    vectors, asked = task.vectors(), []

    def source(ids: Ids) -> Vectors:
        asked.append(ids)
        return np.asarray(vectors[ids])

    try:
        index: Any = ours(task, source) if name == OURS else mapped(task)[0]
        if index is None:
            return "noticed on opening"
        found = _one_by_one(index, name)(task.queries()[:CHANGED_QUERIES])
    except RuntimeError:
        return "noticed on opening"
    right = task.truth()[0, 0] in found[0]
    if asked:
        return "noticed on reading" + ("" if right else ", wrong answer")
    return "not noticed" + ("" if right else ", wrong answer")
