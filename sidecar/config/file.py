"""Read the settings file: expansion, strict keys and types, and every mistake at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec
import msgspec.inspect as types

from sidecar.config.env_vars import expand
from sidecar.config.popular import POPULAR, PopularToken, load_popular
from sidecar.config.redaction import MASK, Redactor, is_secret_name, is_url_name, origin
from sidecar.config.settings import FileSettings, Section, Settings
from sidecar.config.validation import allowed, contradictions
from sidecar.config.yaml_file import read_yaml, scalar, shown
from sidecar.errors import SettingsError

AnySection = TypeVar("AnySection", bound=Section)

_NO_OVERRIDES: Final[Mapping[str, Any]] = MappingProxyType({})
_MOST_TOKENS: Final = 10_000
"""The highest max_tokens: the limit of the popular list when max_tokens itself is a mistake."""


def load_settings(
    path: Path | None,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] = _NO_OVERRIDES,
    with_popular: bool = True,
) -> Settings:
    """Read the settings from a file, None for the defaults; `overrides`, keyed like `api.port`, beat the file.

    Raises SettingsError with every mistake in the file, in the overrides and in the popular list, which
    is not read but left empty where `with_popular` is false.
    """
    tree = _overridden(None if path is None else read_yaml(path), overrides)
    reading = _Reading(environ)
    file_settings = reading.section(FileSettings(), tree, "")
    popular: tuple[PopularToken, ...] = ()
    popular_path: Path | None = None
    if with_popular:
        popular, popular_path = _popular(file_settings, None if path is None else path.parent, reading)
    settings = Settings(
        **{name: getattr(file_settings, name) for name in FileSettings.__struct_fields__},
        popular=popular,
        popular_path=popular_path,
        written=frozenset(reading.written),
        from_environment=frozenset(reading.from_environment),
        environment_values=frozenset(reading.environment_values),
    )
    reading.mistakes += [text for keys, text in contradictions(settings) if reading.mistaken.isdisjoint(keys)]
    if reading.mistakes:
        redactor = Redactor(settings.environment_values)
        raise SettingsError([redactor.redact(mistake) for mistake in reading.mistakes])
    return settings


@dataclass
class _Reading:
    """What is found out while the tree of the file is turned into settings."""

    environ: Mapping[str, str]
    mistakes: list[str] = field(default_factory=list)
    mistaken: set[str] = field(default_factory=set)
    """Dotted keys whose value is not what was written, so that nothing can be concluded from it."""
    written: set[str] = field(default_factory=set)
    from_environment: set[str] = field(default_factory=set)
    environment_values: set[str] = field(default_factory=set)
    """What went into free text. Numbers and words of ours are left out: a log without "info" tells nothing."""

    def section(self, default: AnySection, tree: Any, path: str) -> AnySection:
        """Return the section with what the file says of it; a section without keys is the default."""
        if tree is None:
            return default
        if not isinstance(tree, dict):
            kind = "a list" if isinstance(tree, list) else "a single value"
            self.mistakes.append(f"{path or 'the file'}: must be a mapping of keys, not {kind}")
            return default
        fields = {known.name: known for known in msgspec.structs.fields(default)}
        changes = {}
        for key, value in tree.items():
            where = f"{path}.{key}" if path else key
            if key not in fields:
                self.mistakes.append(f"{where}: unknown key; allowed here: {', '.join(sorted(fields))}")
            else:
                changes[key] = self._field(fields[key].type, getattr(default, key), value, where)
        return msgspec.structs.replace(default, **changes)

    def _field(self, field_type: Any, default: Any, value: Any, path: str) -> Any:
        if isinstance(default, Section):
            return self.section(default, value, path)
        self.written.add(path)
        found = len(self.mistakes)
        expanded = self._expanded(field_type, value, path)
        if len(self.mistakes) == found:
            try:
                return msgspec.convert(expanded, field_type)
            except msgspec.ValidationError:
                self.mistakes.append(f"{path}: must be {allowed(field_type)}, not {self._shown(expanded, path)}")
        self.mistaken.add(path)
        return default

    def _expanded(self, field_type: Any, value: Any, path: str) -> Any:
        """Expand strings; an empty one is null where null is allowed."""
        if isinstance(value, list):
            return [self._expanded(field_type, item, path) for item in value]
        if not isinstance(value, str):
            return value
        expansion = expand(value, self.environ)
        self.mistakes += [f"{path}: {mistake}" for mistake in expansion.mistakes]
        kinds = _kinds(types.type_info(field_type))
        if expansion.values:
            self.from_environment.add(path)
            self.environment_values |= expansion.values | {expansion.text} if types.StrType in kinds else set()
        if not expansion.text and types.NoneType in kinds:
            return None
        is_text = kinds & {types.StrType, types.LiteralType}
        return scalar(expansion.text) if expansion.referred and not is_text else expansion.text

    def _shown(self, value: Any, path: str) -> str:
        if path in self.from_environment or is_secret_name(path):
            return MASK
        return origin(value) if is_url_name(path) and isinstance(value, str) else shown(value)


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


def _kinds(info: types.Type) -> set[type[types.Type]]:
    """Return the kinds of value a setting may be, those of its items when it is a list."""
    match info:
        case types.Metadata(type=inner) | types.VarTupleType(item_type=inner):
            return _kinds(inner)
        case types.UnionType(types=members):
            return set().union(*map(_kinds, members))
    return {type(info)}


def _popular(
    settings: FileSettings, directory: Path | None, reading: _Reading
) -> tuple[tuple[PopularToken, ...], Path | None]:
    """Return the popular list and where it is; the built-in one when no file is named and none is there.

    Without a settings file, `directory` None, a file of that name that happens to be about is none of ours.
    """
    path = (directory or Path()) / settings.popular_file
    is_ours = "popular_file" in reading.written or (directory is not None and not _is_missing(path))
    if "popular_file" in reading.mistaken or not is_ours:
        return POPULAR, None
    limit = _MOST_TOKENS if "tracking.max_tokens" in reading.mistaken else settings.tracking.max_tokens
    try:
        return load_popular(path, limit), path
    except SettingsError as error:
        reading.mistakes += error.mistakes
        return (), None


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
