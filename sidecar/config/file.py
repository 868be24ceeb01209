"""Load all the settings: the file, the flags that beat it, and the popular list."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sidecar.config.popular import POPULAR, PopularToken, load_popular
from sidecar.config.reading import Reading
from sidecar.config.redaction import Redactor
from sidecar.config.settings import FileSettings, Settings
from sidecar.config.validation import contradictions
from sidecar.config.yaml_file import MissingFileError, TooManyRowsError, read_yaml
from sidecar.errors import SettingsError

_NO_OVERRIDES: Final[Mapping[str, Any]] = MappingProxyType({})
_MOST_TOKENS: Final = 10_000
"""The highest max_tokens: the limit of the popular list when max_tokens itself is a mistake."""


class _Popular(NamedTuple):
    """The list to start with."""

    tokens: tuple[PopularToken, ...]
    path: Path | None = None
    mistakes: tuple[str, ...] = ()
    """Why `tokens` are not the list at `path`."""


def load_settings(
    path: Path | None,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] = _NO_OVERRIDES,
    with_popular: bool = True,
) -> Settings:
    """Read the settings from a file, None for the defaults; `overrides`, keyed like `api.port`, beat the file.

    Raises SettingsError with every mistake in the file, in the overrides, and in the popular list where it is
    missing or contradicts them. A list that is bad in itself is replaced by the built-in one, and
    `popular_mistakes` says why; it is not read but left empty where `with_popular` is false.
    """
    tree = _overridden(None if path is None else read_yaml(path), overrides)
    reading = Reading(environ)
    file_settings = reading.section(FileSettings, tree, default=FileSettings()) or FileSettings()
    popular = _Popular(())
    if with_popular:
        popular = _popular(file_settings, None if path is None else path.parent, reading)
    redact = Redactor(reading.environment_values).redact
    settings = Settings(
        **{name: getattr(file_settings, name) for name in FileSettings.__struct_fields__},
        popular=popular.tokens,
        popular_path=popular.path,
        popular_mistakes=tuple(map(redact, popular.mistakes)),
        written=frozenset(reading.written),
        from_environment=frozenset(reading.from_environment),
        environment_values=frozenset(reading.environment_values),
    )
    reading.mistakes += [text for keys, text in contradictions(settings) if reading.mistaken.isdisjoint(keys)]
    if reading.mistakes:
        raise SettingsError([redact(mistake) for mistake in (*reading.mistakes, *popular.mistakes)])
    return settings


def _overridden(tree: Any, overrides: Mapping[str, Any]) -> Any:
    """Put the overrides into the tree; where the tree is no mapping the mistake is left to be found."""
    tree = {} if tree is None else tree
    for path, value in overrides.items():
        *sections, key = path.split(".")
        branch = tree
        for name in sections:
            if isinstance(branch, dict):
                branch[name] = {} if branch.get(name) is None else branch[name]
                branch = branch[name]
        if isinstance(branch, dict):
            branch[key] = value
    return tree


def _popular(settings: FileSettings, directory: Path | None, reading: Reading) -> _Popular:
    """Return the popular list; the built-in one when no file is named and none is there.

    Without a settings file, `directory` None, a file of that name that happens to be about is none of ours.
    """
    path = (directory or Path()) / settings.popular_file
    named = "popular_file" in reading.written
    if "popular_file" in reading.mistaken or (directory is None and not named):
        return _Popular(POPULAR)
    limit = _MOST_TOKENS if "tracking.max_tokens" in reading.mistaken else settings.tracking.max_tokens
    try:
        return _Popular(load_popular(path, limit), path)
    except MissingFileError as error:
        reading.mistakes += error.mistakes if named else []
        return _Popular(POPULAR)
    except TooManyRowsError as error:
        reading.mistakes += error.mistakes
        return _Popular((), path)
    except SettingsError as error:
        return _Popular(POPULAR[:limit], path, tuple(error.mistakes))
