"""Name languages by one code: "de" for the "ger" and "deu" of tracks and the "German" of people."""

from __future__ import annotations

import re
from functools import cache

_LANGUAGES = """
af afr Afrikaans; am amh Amharic; ar ara Arabic; az aze Azerbaijani; be bel Belarusian
bg bul Bulgarian; bn ben Bengali; bs bos Bosnian; ca cat Catalan; cs ces cze Czech
cy cym wel Welsh; da dan Danish; de deu ger German; el ell gre Greek; en eng English
eo epo Esperanto; es spa Spanish; et est Estonian; eu eus baq Basque; fa fas per Persian
fi fin Finnish; fr fra fre French; ga gle Irish; gl glg Galician; gu guj Gujarati
ha hau Hausa; he heb Hebrew; hi hin Hindi; hr hrv Croatian; hu hun Hungarian
hy hye arm Armenian; id ind Indonesian; is isl ice Icelandic; it ita Italian; ja jpn Japanese
ka kat geo Georgian; kk kaz Kazakh; km khm Khmer; kn kan Kannada; ko kor Korean; la lat Latin
lb ltz Luxembourgish; lo lao Lao; lt lit Lithuanian; lv lav Latvian; mk mkd mac Macedonian
ml mal Malayalam; mn mon Mongolian; mr mar Marathi; ms msa may Malay; my mya bur Burmese
nb nob Bokmal; ne nep Nepali; nl nld dut Dutch; nn nno Nynorsk; no nor Norwegian; pa pan Punjabi
pl pol Polish; ps pus Pashto; pt por Portuguese; ro ron rum Romanian; ru rus Russian
si sin Sinhala; sk slk slo Slovak; sl slv Slovenian; so som Somali; sq sqi alb Albanian
sr srp Serbian; sv swe Swedish; sw swa Swahili; ta tam Tamil; te tel Telugu; tg tgk Tajik
th tha Thai; tl tgl fil Tagalog; tr tur Turkish; uk ukr Ukrainian; ur urd Urdu; uz uzb Uzbek
vi vie Vietnamese; yi yid Yiddish; yo yor Yoruba; zh zho chi Chinese; zu zul Zulu
"""
_UNKNOWN = frozenset({"und", "mis", "mul", "zxx", "xxx"})
"""Codes that say that the language is unknown, that there are several, or that there is none."""


@cache
def _codes() -> dict[str, str]:
    rows = [row.split() for row in re.split(r"[;\n]", _LANGUAGES) if row.strip()]
    return {name.lower(): code for code, *names in rows for name in (code, *names)}


def language_named(name: str) -> str | None:
    """Return the code of a language by any name for it here; None for what names none."""
    return _codes().get(name.strip().lower())


def language_code(tag: str) -> str | None:
    """Return the code of a language by the tag of a track: "de" for "ger", "deu" and "de-AT".

    A language that is not known here keeps its code; None for an unknown one, or no code at all.
    """
    code = re.split(r"[-_]", tag.strip().lower(), maxsplit=1)[0]
    if code in _UNKNOWN or not re.fullmatch("[a-z]{2,3}", code):
        return None
    return _codes().get(code, code)
