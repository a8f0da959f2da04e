"""A LlamaIndex retriever over a collection (extra `llama-index`).

    retriever = SeehearRetriever(seehear.open("~/seehear"), k=5)
    nodes = retriever.retrieve("a red car at night")

`seehear.open` takes a collection, not a media folder. Images become ImageNode with their path,
everything else becomes TextNode; the scores are those of seehear.
"""

from __future__ import annotations

from collections.abc import Iterable

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import ImageNode, NodeWithScore, QueryBundle, TextNode

from seehear.arguments import parse_modalities
from seehear.collection import Collection
from seehear.connectors.describe import described, metadata_of
from seehear.types import Hit, Modality


class SeehearRetriever(BaseRetriever):
    """Find photos, sounds, moments of videos and passages of text by a sentence.

    Args:
        collection: the collection to search.
        k: maximum number of nodes.
        modalities: kinds to search: "image", "audio", "video", "text"; None searches all.
        min_score: leave out hits with a lower score; from 0 to 1.
        weak: False leaves out weak matches.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        k: int = 10,
        modalities: Iterable[str] | None = None,
        min_score: float = 0.0,
        weak: bool = True,
    ) -> None:
        super().__init__()
        self._collection = collection
        self._k = k
        self._modalities = None if modalities is None else tuple(modalities)
        self._min_score = min_score
        self._weak = weak

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self._collection.search(
            query_bundle.query_str,
            image=query_bundle.image_path or (),
            k=self._k,
            modalities=parse_modalities(self._modalities),
            min_score=self._min_score,
        )
        return [
            NodeWithScore(node=_node(hit), score=metadata_of(hit)["score"])
            for hit in hits
            if self._weak or not hit.weak
        ]


def _node(hit: Hit) -> TextNode:
    name = f"seehear-{hit.segment_id}"
    if hit.modality is Modality.IMAGE:
        return ImageNode(
            id_=name, text=described(hit), image_path=str(hit.path), metadata=metadata_of(hit)
        )
    return TextNode(id_=name, text=described(hit), metadata=metadata_of(hit))
