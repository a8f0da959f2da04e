"""Define requests and answers as pydantic models, for checks and for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from seehear.arguments import OTHER_WORDS, modality, own_named
from seehear.errors import UsageError
from seehear.limits import FILTER_CHARACTERS, FOLDER_CHARACTERS, MODALITIES, ServiceLimits
from seehear.types import Box, By, Modality, Mode, Origin

_LIMITS = ServiceLimits()
"""The document shows the usual limits; `check_query` applies those of this service."""


def _writable(text: str) -> str:
    """Refuse lone surrogates, which JSON can spell and no encoding can write."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("text contains half of a surrogate pair") from None
    if "\0" in text:
        raise ValueError("text contains a NUL character")
    return text


Words = Annotated[str, AfterValidator(_writable)]


def _kind(word: object) -> object:
    """Return the modality that a word such as "photos" means."""
    if not isinstance(word, str):
        return word
    try:
        return modality(word)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _flag(value: object) -> object:
    """Return the flag that a form's list of one value spells."""
    return value[0] if value in (["true"], ["false"]) else value


def _listed(value: object) -> object:
    """Return the list that words with commas are, as in other interfaces."""
    return [one for one in value.split(",") if one] if isinstance(value, str) else value


Kind = Annotated[Modality, BeforeValidator(_kind)]
Kinds = Annotated[list[Kind], BeforeValidator(_listed)]
KindsQuery = Annotated[
    list[Kind] | None,
    Query(max_length=MODALITIES, description="Only these kinds; several with commas, too."),
]
FlagOrWords = Annotated[bool | list[Words], BeforeValidator(_flag)]
BoxOut = Annotated[
    Box,
    Field(description="Where writing stands: left, top, right, bottom, as shares of the picture."),
]
SegmentId = Annotated[int, Field(ge=0, lt=1 << 63)]
Weight = Annotated[float, Field(gt=0.0, le=_LIMITS.weight)]


class Strict(BaseModel):
    """A request; an unknown field is refused with the near word, and one that is given twice."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, given: Any) -> Any:
        if isinstance(given, dict):
            try:
                own_named(given.items(), cls.model_fields, "the object has no field")
            except UsageError as error:
                raise ValueError(str(error)) from None
        return given


def _also_called(name: str) -> AliasChoices:
    """Return the names that a field may be sent by: its own, and those of the other interfaces."""
    return AliasChoices(name, *OTHER_WORDS[name])


class Part(Strict):
    """One part of a query: a text, or an uploaded file by its number."""

    text: Words | None = None
    upload: int | None = Field(
        None,
        ge=0,
        lt=_LIMITS.parts,
        description="Number of an uploaded file, from 0, in the order of the form.",
    )
    weight: Weight = 1.0
    exclude: bool = Field(False, description="Find hits that do not show this.")


class SearchAddress(Strict):
    """A query that fits in an address. Give at least one of `text` and `like`."""

    text: Words | list[Words] | None = Field(None, description="What to find.")
    without: Words | list[Words] | None = Field(None, description="What to leave out.")
    weights: list[Weight] = Field(
        [],
        max_length=_LIMITS.parts,
        description="Of `text` and files, in this order; 1 if missing.",
    )
    like: list[SegmentId] = Field(
        [], max_length=_LIMITS.likes, description="Find more like these segments."
    )
    unlike: list[SegmentId] = Field(
        [], max_length=_LIMITS.likes, description="Find less like these segments."
    )
    k: int = Field(
        20, ge=1, validation_alias=_also_called("k"), description="Maximum number of hits."
    )
    modalities: Kinds | None = Field(
        None,
        validation_alias=_also_called("modalities"),
        max_length=MODALITIES,
        description="Search only these kinds; `photos` means images, too.",
    )
    under: Words | None = Field(
        None,
        max_length=FOLDER_CHARACTERS,
        description="Search only this folder, named as in `folder` of a hit.",
    )
    where: Words = Field(
        "",
        max_length=FILTER_CHARACTERS,
        description="A filter, such as `taken >= 2024-06 and duration < 60`; "
        "folders are named as in `folder` of a hit.",
    )
    min_score: float = Field(0.0, ge=0.0, le=1.0, description="Leave out lower scores.")
    mode: Mode = Field(
        Mode.AUTO, description="Search by meaning (semantic), by words as written, or both (auto)."
    )
    moments: int = Field(
        1, ge=1, le=_LIMITS.moments, description="Maximum number of moments per file."
    )
    diverse: bool = Field(False, description="Show more variety among the hits.")
    show_duplicates: bool = Field(False, description="List near-duplicates as separate hits.")
    explain: bool = Field(False, description="Explain each score, in `why`.")
    typing: bool = Field(False, description="Find words that begin with the last word, too.")
    as_written: FlagOrWords = Field(
        True,
        description="False: words of `text` that can only be meant as a filter become one "
        "(`photos of`, `last summer`), told in `interpretation`. A list: all but these words.",
    )
    take: FlagOrWords = Field(
        False,
        description="Also make filters of words that could be content (a city, a name, a year): "
        "of all, or of these.",
    )


class SearchRequest(SearchAddress):
    """A query. Give at least one of `text`, `parts`, `like` or an uploaded file."""

    parts: list[Part] = Field([], description="Further parts of the query, with weights.")


class FoundFilterOut(BaseModel):
    """A filter that some words of a query name."""

    words: str
    first: int = Field(description="Where the words begin in `text`, in characters.")
    last: int = Field(description="Where they end.")
    where: str = Field(description="The filter, for `where` of a search.")
    told: str = Field(description="The same for a person.")
    certain: bool = Field(description="False if the words could be content as well.")


class InterpretationOut(BaseModel):
    """What plain words say: `rest` to search for, among the files that `where` leaves."""

    text: str = Field(description="The words, with single spaces.")
    rest: str
    where: str
    taken: list[FoundFilterOut] = Field(description="The filters of `where`.")
    offered: list[FoundFilterOut] = Field(description="Filters that a person may take as well.")
    unmet: list[FoundFilterOut] = Field(description="Filters that no file meets: left as words.")


SEARCH_ANSWER: dict[str, Any] = {
    "hits": [
        {
            "rank": 1,
            "score": 0.93,
            "similarity": 0.71,
            "weak": False,
            "asset_id": 12,
            "segment_id": 40,
            "modality": "video",
            "matched": "audio",
            "by": ["sound"],
            "start_s": 5.0,
            "stop_s": 15.0,
            "snippet": None,
            "name": "harbour.mp4",
            "folder": "Pictures/2024",
            "thumbnail": "/v1/assets/12/thumbnail?start_s=10.00",
            "media": "/v1/assets/12/media",
        }
    ],
    "stands_out": True,
    "heard": [],
    "notes": [],
    "model": "tiny",
    "took_ms": 4.1,
}


class MomentOut(BaseModel):
    """A moment of a file that matches: from start_s up to stop_s, in seconds."""

    start_s: float
    stop_s: float
    score: float
    segment_id: int
    matched: Modality
    by: list[By] = []
    address: str = ""


class TermOut(BaseModel):
    """What one part of the query contributed to a score."""

    part: str
    weight: float
    exclude: bool
    score: float
    route: str = ""
    space: str = ""
    similarity: float | None = None
    expected: float | None = None
    spread: float | None = None
    presence: float | None = Field(
        None, description="How sure it is that the collection holds anything like the part."
    )
    words: str = ""
    words_score: float = 0.0


class Place(BaseModel):
    """Where a file lies, without the machine's own paths."""

    name: str = Field(description="File name.")
    folder: str = Field(description="Folder, from the label of its root on.")
    online: bool = True


class HitOut(BaseModel):
    """One hit."""

    rank: int
    score: float = Field(description="How well it matches, from 0 to 1; comparable across kinds.")
    similarity: float | None = Field(
        description="Raw cosine of the best segment; not comparable across kinds."
    )
    weak: bool = Field(description="True for a match that may well be chance.")
    asset_id: int
    segment_id: int
    modality: Modality
    matched: Modality = Field(description="What matched: `audio` for the sound track of a video.")
    by: list[By] = Field([], description="By what it was found, the best first.")
    start_s: float | None = None
    stop_s: float | None = None
    snippet: str | None = Field(None, description="The part of a passage that matched.")
    marks: list[tuple[int, int]] = Field([], description="Words of the query in the snippet.")
    text: str | None = Field(None, description="The whole passage.")
    page: int | None = Field(None, description="The page of a PDF that the passage stands on.")
    language: str | None = Field(None, description="Of what is said or written, as in ISO 639.")
    box: BoxOut | None = None
    name: str
    folder: str
    moments: list[MomentOut] = []
    duplicates: list[Place] = []
    why: list[TermOut] = []
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    taken_at: str | None = Field(None, description="Local time, as far as it is known.")
    city: str | None = None
    country: str | None = None
    camera: str | None = None
    people: str | None = Field(None, description="Names, separated by semicolons.")
    thumbnail: str | None = Field(None, description="Address of a preview picture.")
    media: str = Field(description="Address of the file itself.")
    address: str = Field("", description="Of the moment, for the command line and assistants.")
    moment_url: str = Field("", description="Of the moment, on the page of this service.")
    id: str | None = Field(None, description="The id of an item that was added.")
    fields: dict[str, bool | int | float | str | list[str]] = Field(
        {}, description="The fields of an item."
    )


class SearchAnswer(BaseModel):
    """A ranked list."""

    model_config = ConfigDict(json_schema_extra={"examples": [SEARCH_ANSWER]})

    hits: list[HitOut]
    stands_out: bool = Field(description="False if there is no close match: all hits are weak.")
    heard: list[str] = Field(description="The words that were heard in each file `say`.")
    notes: list[str] = Field(
        description="Sentences for people, such as that the model does not read the language."
    )
    model: str | None
    took_ms: float
    interpretation: InterpretationOut | None = Field(
        None, description="How `text` was read, if `as_written` or `take` asks for filters."
    )


class SegmentOut(BaseModel):
    """One searchable piece of an asset."""

    segment_id: int
    modality: Modality
    start_s: float | None = None
    stop_s: float | None = None
    text: str | None = None
    page: int | None = None
    origin: Origin | None = Field(
        None, description="Where a passage comes from; null for the text of the file itself."
    )
    language: str | None = None
    box: BoxOut | None = None


class AssetOut(BaseModel):
    """One distinct file content and where it is stored."""

    asset_id: int
    modality: Modality
    format: str
    size_bytes: int
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    taken_at: str | None = Field(None, description="Local time, as far as it is known.")
    details: dict[str, str | int | float] = Field(
        {}, description="What the file says about itself: camera, caption, people, ..."
    )
    places: list[Place]
    segments: list[SegmentOut]
    words: list[SegmentOut] = Field(
        description="What is said and written in it, by order of time: at most 2,000 passages."
    )
    segments_total: int
    thumbnail: str | None
    media: str


class Revealed(BaseModel):
    """Where a file lies on the machine of the service."""

    path: str


class ExplanationOut(BaseModel):
    """Where in a picture, or when in a sound, words are met, from 0 to 1."""

    patches: Annotated[
        list[list[float]],
        Field(description="Rows of equal patches of a picture, from the top; empty if not known."),
    ] = []
    steps: Annotated[
        list[float], Field(description="Equal steps of a sound from `start_s` on.")
    ] = []
    start_s: float = 0.0
    step_s: float = 0.0


class Waveform(BaseModel):
    """The loudest sample of each of equal steps of time, from 0 to 1."""

    start_s: float
    stop_s: float
    peaks: list[float]


class EmbedRequest(Strict):
    """Texts to turn into vectors; leave them out when you send a file."""

    texts: list[Words] = Field([], description="At least one text, unless you send a file.")


class SpaceOut(BaseModel):
    """Vectors in one space; compare only vectors of the same space."""

    space: str = Field(description="name@revision:dimensions")
    dimensions: int
    vectors: list[list[float]] = Field(description="L2-normalised, one row per sample.")


class EmbedAnswer(BaseModel):
    """Vectors of what was sent; a video or a long sound gives several rows."""

    model: str
    modality: Modality
    spaces: list[SpaceOut]


class ProblemBody(BaseModel):
    code: str
    message: str
    type: str


class Problem(BaseModel):
    """Every error has this shape."""

    error: ProblemBody
