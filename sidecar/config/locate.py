"""Which settings file and which popular list are read: a mounted one may be missing, but not be misnamed."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from sidecar.errors import SettingsError

CONFIG_VARIABLE: Final = "MC_SIDECAR_CONFIG"
"""Settings files, separated by colons: the first one that exists is read, so that a mounted one is optional."""
POPULAR_VARIABLE: Final = "MC_SIDECAR_POPULAR"
"""A popular list that is used in place of `popular_file` where it exists: an optional ConfigMap."""

_NAMES_SHOWN: Final = 5


def settings_file(environ: Mapping[str, str]) -> Path | None:
    """Return the settings file that the environment names; when none of several exists, the first."""
    paths = _paths(environ, CONFIG_VARIABLE)
    return next((path for path in paths if path.exists()), paths[0] if paths else None)


def popular_file(environ: Mapping[str, str]) -> Path | None:
    """Return the popular list that the environment names, as an absolute path, where it exists."""
    path = next(iter(_paths(environ, POPULAR_VARIABLE)), None)
    return path.absolute() if path is not None and path.exists() else None


def check_names(environ: Mapping[str, str], chosen: Path | None) -> None:
    """Raise SettingsError where a folder was mounted for a file that it does not hold: a key of another name.

    Without a word of it the sidecar would run on the settings and the list of its image. `chosen` is the
    settings file that is read: where a flag names another one, those of the environment do not matter.
    """
    named = {variable: _paths(environ, variable) for variable in (CONFIG_VARIABLE, POPULAR_VARIABLE)}
    if chosen not in named[CONFIG_VARIABLE]:
        del named[CONFIG_VARIABLE]
    known = {path for paths in named.values() for path in paths} | {chosen}
    mistakes = [
        f"{variable}: {path.parent} holds {', '.join(names[:_NAMES_SHOWN])}, but no {path.name}"
        for variable, paths in named.items()
        for path in paths
        if (names := sorted(_names_in(path.parent))) and known.isdisjoint(path.parent / name for name in names)
    ]
    if mistakes:
        raise SettingsError(mistakes)


def _paths(environ: Mapping[str, str], variable: str) -> list[Path]:
    return [Path(path) for path in environ.get(variable, "").split(os.pathsep) if path]


def _names_in(folder: Path) -> Iterator[str]:
    """Yield the files of a folder, without the `..data` and the like of a mounted ConfigMap."""
    if folder.is_dir():
        yield from (path.name for path in folder.iterdir() if not path.name.startswith("."))
