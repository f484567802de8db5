r"""Places on somebody's machine, which no bundle may tell.

    >>> scrub({"judge": "judge (/home/ann/models/llama)", "link": "https://host/a/b"})
    {'judge': 'judge (llama)', 'link': 'https://host/a/b'}

A path becomes its last part: absolute ones, those from a home (`~/...`) and Windows' (`C:\...`).
Only what describes a result is searched, never what a model or a person wrote.
"""

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_POSIX = r"(?<![\w/.:~<-])(?:file:/{0,2})?(?:~[\w.-]*|/[\w.@+~-]+)(?:/[\w.@+~-]+)+/?"
_WINDOWS = r"(?<!\w)[A-Za-z]:\\[\w.@+~ \\-]*[\w.@+~\\-]"
_PLACE = re.compile(f"{_WINDOWS}|{_POSIX}")
_HOMES = ("home", "Users")


def scrub(value: Any) -> Any:
    """Replace every place in a JSON value's texts, keys included."""
    if isinstance(value, str):
        return _PLACE.sub(_last_part, value)
    if isinstance(value, list):
        return [scrub(one) for one in value]
    if isinstance(value, dict):
        return {scrub(key): scrub(one) for key, one in value.items()}
    return value


def places(value: Any) -> list[str]:
    """List the places that a JSON value's texts name, each once."""
    if isinstance(value, str):
        return list(dict.fromkeys(match[0] for match in _PLACE.finditer(value)))
    parts = value if isinstance(value, list) else []
    if isinstance(value, dict):
        parts = [*value, *value.values()]
    return list(dict.fromkeys(place for part in parts for place in places(part)))


def _last_part(match: re.Match[str]) -> str:
    text = match[0]
    path = PureWindowsPath(text) if "\\" in text else PurePosixPath(text)
    # The folder of a user is called by the user's name.
    return "home" if len(path.parts) == 3 and path.parts[1] in _HOMES else path.name
