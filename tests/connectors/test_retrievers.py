"""The retrievers, each inside the real framework."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from seehear.collection import Collection
from tests.server.conftest import SETTINGS
from tests.server.media_files import picture, sound


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    media = tmp_path_factory.mktemp("media")
    picture(media / "rose.png", "red")
    picture(media / "sky.png", "blue")
    sound(media / "siren.wav", "red")
    (media / "garden.md").write_text("The grass is green and the frog sings at night.")
    with Collection(tmp_path_factory.mktemp("collection"), SETTINGS) as collection:
        collection.index(media)
        yield collection


def test_langchain(collection: Collection) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.runnables import RunnableLambda

    from seehear.connectors.langchain import SeehearRetriever

    retriever = SeehearRetriever(collection=collection, k=3)
    documents = retriever.invoke("red")
    names = [Path(document.metadata["path"]).name for document in documents]
    assert {"rose.png", "siren.wav"} <= set(names)
    siren = documents[names.index("siren.wav")]
    assert siren.page_content.startswith("Sound: siren.wav")
    assert siren.metadata["stop_s"] > siren.metadata["start_s"]
    assert siren.metadata["source"] == siren.metadata["path"]
    (note,) = SeehearRetriever(collection=collection, k=1, modalities=["text"]).invoke("green frog")
    assert "the frog sings" in note.page_content
    chain = retriever | RunnableLambda(len)
    assert chain.invoke("red") == len(documents)
    strong = SeehearRetriever(collection=collection, k=10, weak=False).invoke("red")
    assert all(not document.metadata["weak"] for document in strong)


def test_llama_index(collection: Collection) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the framework's own imports
        pytest.importorskip("llama_index.core")
        from llama_index.core.schema import ImageNode, QueryBundle

        from seehear.connectors.llama_index import SeehearRetriever

    nodes = SeehearRetriever(collection, k=3).retrieve("red")
    by_name = {Path(found.node.metadata["path"]).name: found for found in nodes}
    assert {"rose.png", "siren.wav"} <= set(by_name)
    rose = by_name["rose.png"]
    assert isinstance(rose.node, ImageNode)
    assert Path(str(rose.node.image_path)).name == "rose.png"
    assert rose.score is not None
    assert rose.score == rose.node.metadata["score"]
    (note,) = SeehearRetriever(collection, k=1, modalities=["text"]).retrieve("green frog")
    assert "the frog sings" in note.node.get_content()
    alike = SeehearRetriever(collection, k=1, modalities=["image"]).retrieve(
        QueryBundle("", image_path=by_name["rose.png"].node.metadata["path"])
    )
    assert Path(alike[0].node.metadata["path"]).name == "rose.png"


def test_neither_framework_is_loaded_by_the_package() -> None:
    code = (
        "import seehear, seehear.connectors, sys; "
        "print([m for m in sys.modules if m.startswith(('langchain', 'llama_index'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
