"""Expand `${VAR}` and `${VAR:-default}` in a text; `$$` is a `$`."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_REFERENCE: Final = re.compile(r"\$\$|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\})?")


class Expansion(NamedTuple):
    """A text after expansion."""

    text: str
    referred: bool
    """A variable or its default was put in."""
    values: frozenset[str]
    """What the variables held."""
    mistakes: tuple[str, ...]
    """Why it could not be expanded."""


def expand(text: str, environ: Mapping[str, str], *, strip: bool = False) -> Expansion:
    """Expand a text; `strip` takes the white space off the ends of what a variable holds.

    As in a shell, the default also stands in for a variable that is empty.
    """
    values: set[str] = set()
    mistakes: list[str] = []

    def replacement(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if match[0] == "$$":
            return "$"
        if name is None:
            mistakes.append("${ must begin ${NAME} or ${NAME:-default}; $$ is a $")
            return ""
        value = environ.get(name)
        if value is not None and strip:
            value = value.strip()
        if value or (value is not None and default is None):
            values.add(value)
            return value
        if default is None:
            mistakes.append(f"the environment variable {name} is not set")
        return (default or "").removeprefix(":-")

    expanded = _REFERENCE.sub(replacement, text)
    return Expansion(expanded, "${" in text.replace("$$", ""), frozenset(values), tuple(mistakes))
