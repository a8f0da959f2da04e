"""A LangChain retriever over a collection (extra `langchain`).

    retriever = SeehearRetriever(collection=seehear.open("~/seehear"), k=5, modalities=["image"])
    documents = retriever.invoke("a red car at night")

`seehear.open` takes a collection, not a media folder. A document's text is the passage that
matched; for other media it names the file. The metadata hold its path, kind, score and moment.
"""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from seehear.arguments import parse_modalities
from seehear.collection import Collection
from seehear.connectors.describe import described, metadata_of


class SeehearRetriever(BaseRetriever):
    """Find photos, sounds, moments of videos and passages of text by a sentence."""

    collection: Collection
    k: int = 10
    modalities: list[str] | None = None
    """Kinds to search: "image", "audio", "video", "text"; None searches all."""
    min_score: float = 0.0
    weak: bool = True
    """False leaves out weak matches."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        hits = self.collection.search(
            query,
            k=self.k,
            modalities=parse_modalities(self.modalities),
            min_score=self.min_score,
        )
        return [
            Document(page_content=described(hit), metadata=_plain(metadata_of(hit)))
            for hit in hits
            if self.weak or not hit.weak
        ]


def _plain(metadata: dict[str, Any]) -> dict[str, Any]:
    return {**metadata, "source": metadata["path"]}  # the key that LangChain's chains cite
