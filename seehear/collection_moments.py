"""Open what is found by its address, draw it, cut it; look over a whole collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from seehear import arguments
from seehear.arguments import PathLike
from seehear.collection_contents import CollectionContents
from seehear.loaded_models import while_open
from seehear.types import Hit, Query

if TYPE_CHECKING:
    from seehear.clips import CutReport
    from seehear.media.stored_file import StoredFile
    from seehear.search import TypicalFile, UnusualFile
    from seehear.search.snapshot import CollectionSnapshot

FileT = TypeVar("FileT")


class CollectionMoments(CollectionContents):
    """What finds again, cuts and looks over; `CollectionReader` adds the search."""

    @while_open
    def hit_at(self, address: str) -> Hit:
        """Return what an address such as `hit.address` names: a moment, a page or a whole file.

        It is a hit as good as any: open it, `cut` it, draw its `thumbnail`, ask for more `like` it.
        Raises UsageError for an address of another collection, or of what is not there any more.
        """
        from seehear.hit_files import hit_at

        return hit_at(self._catalog, address)

    @while_open
    def thumbnail(self, hit: Hit, px: int = 320) -> tuple[bytes, str]:
        """Draw a hit: its image, the frame of its moment, or the spectrogram of its sound.

        Returns the picture and its content type. Raises MediaError where the file cannot be read
        or has other content than was indexed, and for a text.
        """
        from seehear.hit_files import draw_hit, draw_item

        if hit.id is not None:
            return draw_item(self._catalog, self._opened.decoder(), hit, px)
        file = self.stored_file(hit.asset_id, hit.path)
        return draw_hit(self._opened.decoder(), file, hit, px)

    @while_open
    def stored_file(self, asset_id: int, first: Path | None = None) -> StoredFile:
        """Return a file that has the content of an asset now; try the path `first` before others.

        Raises MediaError (stage "open") if no file can be read, ContentChangedError where each has
        other content.
        """
        from seehear.hit_files import find_stored_file

        return find_stored_file(
            self._catalog, asset_id, first, follow_links=self.settings.follow_links
        )

    @while_open
    def cut(
        self,
        hits: Iterable[Hit | str],
        to: PathLike,
        *,
        format: str | None = None,  # noqa: A002 - the word of the command line
        handles: float = 1.0,
        tolerance: float = 0.5,
        overwrite: bool = False,
        title: str = "seehear",
    ) -> CutReport:
        """Write the moments of hits, or of addresses, as clips or as a list for other programs.

        Args:
            hits: what `search` returned; photos and texts have no moments and are counted.
            to: the folder of the clips, which is made where it is missing, or the file of the list.
            format: "clips", or a list: "edl", "fcpxml", "otio", "m3u" or "csv"; without it the
                suffix of `to` decides.
            handles: seconds to add before and after each moment.
            tolerance: seconds that a clip may begin earlier so that nothing is encoded again.
            overwrite: replace files that exist.
            title: name of the list.

        Raises UsageError for what must not be written, StoreError where writing fails; files that
        cannot be cut are in the report.
        """
        from seehear import clips

        return clips.cut(
            [self.hit_at(one) if isinstance(one, str) else one for one in hits],
            arguments.as_output(to),
            lambda hit: self.stored_file(hit.asset_id, hit.path),
            self._opened.decoder,
            form=format,
            handles_s=handles,
            tolerance_s=tolerance,
            overwrite=overwrite,
            title=title,
        )

    @while_open
    def unusual(
        self,
        *,
        k: int = 10,
        modalities: str | Iterable[str] | None = None,
        under: PathLike | None = None,
        where: str = "",
    ) -> list[UnusualFile]:
        """Return the files that the rest is least like, `k` of each kind, the most unusual first.

        The measure is the mean cosine to the 10 nearest files of the same kind, in the space of
        that kind. Raises UsageError for a wrong value.
        """
        from seehear.search import unusual_files

        return self._whole_kinds(unusual_files, k, modalities, under, where)

    @while_open
    def typical(
        self,
        *,
        k: int = 10,
        modalities: str | Iterable[str] | None = None,
        under: PathLike | None = None,
        where: str = "",
    ) -> list[TypicalFile]:
        """Return files that stand for the rest, `k` of each kind: together they are near to all.

        They are chosen by facility location, so that they differ from each other; those that stand
        for the most files come first. Raises UsageError for a wrong value.
        """
        from seehear.search import typical_files

        return self._whole_kinds(typical_files, k, modalities, under, where)

    def _whole_kinds(
        self,
        find: Callable[[CollectionSnapshot, int], list[FileT]],
        k: int,
        modalities: str | Iterable[str] | None,
        under: PathLike | None,
        where: str,
    ) -> list[FileT]:
        from seehear.search import check_options

        kinds = arguments.parse_modalities(modalities)
        query = Query((), k, kinds, arguments.as_folder(under), where=where)
        check_options(query)
        parsed = self._parse_filter(where)
        engine = self._opened.engine()
        if engine is None:
            return []
        return find(engine.current().restricted(query, lambda _: parsed), k)
