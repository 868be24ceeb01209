"""Turn the tree of a YAML file into typed structs: expansion, strict keys and types, and every mistake at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import msgspec.inspect as types

from sidecar.config.env_vars import expand
from sidecar.config.redaction import MASK, is_secret_name, is_url_name, origin
from sidecar.config.words import allowed
from sidecar.config.yaml_file import scalar, shown

AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)


@dataclass
class Reading:
    """What is found out of one file. Without an `environ` nothing is expanded: a text may begin with `$`."""

    environ: Mapping[str, str] | None
    mistakes: list[str] = field(default_factory=list)
    mistaken: set[str] = field(default_factory=set)
    """Dotted keys with another value than was written, so that nothing can be concluded from it."""
    written: set[str] = field(default_factory=set)
    from_environment: set[str] = field(default_factory=set)
    environment_values: set[str] = field(default_factory=set)
    """What went into free text. Numbers and words of ours are left out: a log without "info" tells nothing."""

    def section(
        self, kind: type[AnyStruct], tree: Any, path: str = "", default: AnyStruct | None = None
    ) -> AnyStruct | None:
        """Return a struct with what the file says of it, else its default; None where one cannot be made."""
        if tree is None and default is not None:
            return default
        if not isinstance(tree, dict):
            found = {list: "a list", type(None): "nothing"}.get(type(tree), "a single value")
            self.mistakes.append(f"{path or 'the file'}: must be a mapping of keys, not {found}")
            return default
        before = len(self.mistakes)
        fields = {known.name: known for known in msgspec.structs.fields(kind)}
        self.mistakes += [_unknown(_join(path, key), key, sorted(fields)) for key in tree if key not in fields]
        values = {
            name: self._field(known.type, getattr(default, name, None), tree.get(name), _join(path, name))
            for name, known in fields.items()
            if name in tree or (default is None and known.required)
        }
        if default is not None:
            return msgspec.structs.replace(default, **values)
        return kind(**values) if len(self.mistakes) == before else None

    def _field(self, field_type: Any, default: Any, value: Any, path: str) -> Any:
        if isinstance(default, msgspec.Struct):
            return self.section(type(default), value, path, default)
        self.written.add(path)
        before = len(self.mistakes)
        info = types.type_info(field_type)
        if isinstance(value, list) and (row := _row_type(info)) is not None:
            return [self.section(row, item, f"{path}[{index}]") for index, item in enumerate(value)]
        expanded = self._expanded(info, value, path)
        if len(self.mistakes) == before:
            try:
                return _checked(info, msgspec.convert(expanded, field_type))
            except ValueError:
                self.mistakes.append(f"{path}: must be {allowed(field_type)}, not {self._shown(expanded, path)}")
        self.mistaken.add(path)
        return default

    def _expanded(self, info: types.Type, value: Any, path: str) -> Any:
        """Expand strings, secrets and URLs without white space at their ends; empty is null where that may be."""
        if isinstance(value, list):
            return [self._expanded(info, item, path) for item in value]
        if not isinstance(value, str) or self.environ is None:
            return value
        strip = is_secret_name(path) or is_url_name(path)
        expansion = expand(value.strip() if strip else value, self.environ, strip=strip)
        self.mistakes += [f"{path}: {mistake}" for mistake in expansion.mistakes]
        kinds = _kinds(info)
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


def _unknown(where: str, key: str, known: list[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    nearest = get_close_matches(key, known, 1)
    perhaps = f", perhaps {nearest[0]}" if nearest else ""
    return f"{where}: unknown key{perhaps}; allowed here: {', '.join(known)}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _row_type(info: types.Type) -> type[msgspec.Struct] | None:
    """Return the kind of struct that a list is of, None for any other type."""
    info = info.type if isinstance(info, types.Metadata) else info
    item = info.item_type if isinstance(info, types.VarTupleType) else None
    return item.cls if isinstance(item, types.StructType) else None


def _checked(info: types.Type, value: Any) -> Any:
    """Return the value. Raises ValueError when the type's own check, which may raise too, does not pass."""
    extra: Any = info.extra if isinstance(info, types.Metadata) else None
    check: Callable[[Any], bool] | None = (extra or {}).get("check")
    if check is not None and not check(value):
        raise ValueError(value)
    return value


def _kinds(info: types.Type) -> set[type[types.Type]]:
    """Return the kinds of value a setting may be, those of its items when it is a list."""
    match info:
        case types.Metadata(type=inner) | types.VarTupleType(item_type=inner):
            return _kinds(inner)
        case types.UnionType(types=members):
            return set().union(*map(_kinds, members))
    return {type(info)}
