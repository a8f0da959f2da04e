"""Say in one line why a place beyond this machine gives nothing, whichever library found out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seehear.errors import MediaError, one_line
from seehear.sources.paths import CREDENTIALS, scheme_of

MISSING, DENIED, UNREACHABLE = "missing", "denied", "unreachable"

_DENIED = re.compile(
    r"AccessDenied|Forbidden|Unauthorized|Credential|SignatureDoesNotMatch|InvalidAccessKeyId|"
    r"TokenRetrieval|SSOToken|Authenticat|LogonFailure|RefreshError"
)
"""Names of errors, by the libraries or by the services themselves."""
_SETTING = re.compile(
    r"ConfigParse|ConfigNotFound|ProfileNotFound|NoRegion|"
    r"Invalid\w*(Region|Retry|Mode|Config|Endpoint)|Unsupported\w*Configuration"
)
"""Types of errors of libraries that could not read their settings, and have asked nobody yet."""
_USER = re.compile(r"(?<=://)[^/@\s]*@")
_NO_KEY = re.compile(r"NoCredentials|DefaultCredentials|PartialCredentials")
_WRONG_KEY = re.compile(r"SignatureDoesNotMatch|InvalidAccessKeyId|LogonFailure")


class SourceError(MediaError):
    """A file beyond this machine, or all of its root, cannot be read now; no file is at fault.

    `kind` is MISSING, DENIED or UNREACHABLE. The message never holds what the service said: that
    may hold keys. What a library says of its own settings it holds.
    """

    def __init__(self, reason: str, kind: str = UNREACHABLE, *, stage: str = "open") -> None:
        super().__init__(reason, stage=stage)
        self.kind = kind

    def __reduce__(self) -> tuple[object, ...]:
        return SourceError, (str(self), self.kind)


def source_error(error: Exception, url: str, *, is_root: bool = False) -> SourceError:
    """Return what to tell of an error that a library raised for a URL."""
    scheme, names = scheme_of(url), list(_names(error))
    told, status = " ".join(names), _status(error)
    # fsspec takes whatever goes wrong with a request of HTTP for a missing file.
    hides = any("aiohttp" in type(one).__module__ for one in _chain(error))
    if status == 404 or (isinstance(error, FileNotFoundError) and not hides):
        what = "there is nothing at this URL; check its name" if is_root else "not found"
        return SourceError(what, MISSING)
    if _NO_KEY.search(told):
        return SourceError(
            f"no credentials were found: set {CREDENTIALS[scheme]} (a public bucket needs "
            f"FSSPEC_{scheme.upper()}_ANON=true)", DENIED,
        )  # fmt: skip
    of_settings = _SETTING.search(type(error).__name__) and not hasattr(error, "response")
    if of_settings or (is_root and type(error) in {ValueError, TypeError}):
        wrong = _USER.sub("", one_line(error))[:200].rstrip(".")
        files = " or in ~/.aws" if scheme == "s3" else ""
        return SourceError(f"a setting is wrong ({wrong}); correct it in the environment{files}")
    if isinstance(error, PermissionError) or status in {401, 403} or _DENIED.search(told):
        why = "the key or its secret is wrong" if _WRONG_KEY.search(told) else "access is denied"
        return SourceError(f"{why}: check the credentials in {CREDENTIALS[scheme]}", DENIED)
    why = "the server does not answer" if "Timeout" in told else f"cannot be reached ({names[-1]})"
    return SourceError(f"{why}; check the network and the server's name")


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _names(error: BaseException) -> Iterator[str]:
    """Yield the types of an error and of its causes, and the codes that a service gave."""
    for one in _chain(error):
        yield type(one).__name__
        yield from (base.__name__ for base in type(one).__mro__ if "Timeout" in base.__name__)
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            yield str(response.get("Error", {}).get("Code", ""))


def _status(error: BaseException) -> int | None:
    """Return the status of HTTP that an error has."""
    for one in _chain(error):
        for name in ("status", "status_code", "code"):
            value = getattr(one, name, None)
            if isinstance(value, int):
                return value
    return None
