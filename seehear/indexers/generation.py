"""Choose the generation that a run fills, and decide when that generation takes over.

no generation yet ............ a new one, which serves from its first batch on, since there is
                               nothing else to answer queries with
model of the serving one ..... the serving generation
any other model .............. its own generation beside the serving one, found again by
                               model, revision and spaces, so a stopped run continues where it was;
                               it takes over in one step when nothing is missing
"""

from __future__ import annotations

from seehear.encoders import Model
from seehear.stores import Catalog, Generation
from seehear.types import EmbeddingSpace, Modality


def spaces_of(model: Model) -> tuple[EmbeddingSpace, ...]:
    """Return every space that a model fills, each once."""
    return tuple(dict.fromkeys(s for modality in Modality for s in model.spaces_of(modality)))


def generations_of(catalog: Catalog, model: Model) -> list[Generation]:
    """Return the generations of this model revision, in the order in which they were made."""
    return [
        generation
        for generation in catalog.generations.all()
        if generation.model == model.name
        and generation.revision == model.revision
        and set(generation.spaces) == set(spaces_of(model))
    ]


def generation_for(catalog: Catalog, model: Model) -> Generation:
    """Return the generation of this model revision; create it if it does not exist yet."""
    mine = generations_of(catalog, model)
    serving = catalog.generations.serving()
    if serving is not None and any(generation.id == serving.id for generation in mine):
        return serving
    if mine:
        building = [generation for generation in mine if generation.state == "building"]
        return (building or mine)[-1]
    generation = catalog.generations.create(model.name, model.revision, spaces_of(model))
    if serving is None:
        catalog.generations.promote(generation.id)
        serving = catalog.generations.serving()
        assert serving is not None
        return serving
    return generation
