"""A LangChain retriever over a collection (extra `langchain`).

    retriever = SeehearRetriever(collection=seehear.open("~/media"), k=5, modalities=["image"])
    documents = retriever.invoke("a red car at night")

A document's text is the passage that matched, or else says what the file is, so that a language
model can use it; the metadata say where it lies, its kind, its score and its moment.
"""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from seehear.collection import Collection
from seehear.connectors.describe import described, metadata_of


class SeehearRetriever(BaseRetriever):
    """Finds pictures, sounds, moments of videos and passages of text by a sentence."""

    collection: Collection
    k: int = 10
    modalities: list[str] | None = None
    """Of "image", "audio", "video", "text"; None asks for all."""
    min_score: float = 0.0
    weak: bool = True
    """False leaves out hits that do not stand out."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        hits = self.collection.search(
            query, k=self.k, modalities=self.modalities, min_score=self.min_score
        )
        return [
            Document(page_content=described(hit), metadata=_plain(metadata_of(hit)))
            for hit in hits
            if self.weak or not hit.weak
        ]


def _plain(metadata: dict[str, Any]) -> dict[str, Any]:
    return {**metadata, "source": metadata["path"]}  # the key that LangChain's chains cite
