"""Read one small YAML file into plain dicts, lists and scalars, strictly.

Scalars follow YAML 1.2's core schema (`yes`, `on` and `0666` are strings, `1e6` is a number). Duplicate keys,
anchors, aliases and tags are refused: the first hide a mistake, with the others a small file becomes a large one.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from sidecar.errors import SettingsError

MAX_BYTES: Final = 1 << 20
_MAX_DEPTH: Final = 10
_SHOWN_CHARS: Final = 64
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,99})")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


class _YamlMistakeError(Exception):
    """The YAML is well formed and still not acceptable."""


def read_yaml(path: Path) -> Any:
    """Return what the file holds, None when it holds nothing.

    Raises SettingsError, naming the file as given, when it cannot be read, is over 1 MiB or not acceptable.
    """
    try:
        return _document(yaml.parse(_text(path), Loader=yaml.SafeLoader))
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except yaml.MarkedYAMLError as error:
        reason = f"is not valid YAML: {_place(error.problem_mark)}: {error.problem}"
    except yaml.reader.ReaderError as error:
        reason = f"is not valid YAML: {error.reason}"
    except _YamlMistakeError as error:
        reason = str(error)
    raise SettingsError([f"{path}: {reason}"])


def scalar(text: str) -> str | float | bool | None:
    """Return the value of a plain YAML scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def shown(value: object) -> str:
    """Return a value as a message shows it: scalars and lists of them as written, anything else by its kind."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        return "a list"
    text = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else repr(value)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _YamlMistakeError("is larger than 1 MiB")
    return content.decode("utf-8-sig")


def _document(events: Iterator[Any]) -> Any:
    value = None
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _YamlMistakeError(f"{_place(event.start_mark)}: only one YAML document is allowed")
            value = _node(next(events), events, 0)
    return value


def _node(event: Any, events: Iterator[Any], depth: int) -> Any:
    place = _place(event.start_mark)
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise _YamlMistakeError(f"{place}: anchors and aliases are not supported")
    if event.tag is not None:
        raise _YamlMistakeError(f"{place}: tags are not supported")
    if depth > _MAX_DEPTH:
        raise _YamlMistakeError(f"{place}: nested too deeply")
    if isinstance(event, yaml.ScalarEvent):
        return scalar(event.value) if event.style is None else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        return _sequence(events, depth)
    return _mapping(events, depth)


def _sequence(events: Iterator[Any], depth: int) -> list[Any]:
    items = []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        items.append(_node(event, events, depth + 1))
    return items


def _mapping(events: Iterator[Any], depth: int) -> dict[str, Any]:
    items: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent) or not _is_key(event.value):
            raise _YamlMistakeError(f"{_place(event.start_mark)}: a key must be 1 to 64 printable characters")
        if event.value in items:
            raise _YamlMistakeError(f"{_place(event.start_mark)}: the key {event.value!r} is there twice")
        items[event.value] = _node(next(events), events, depth + 1)
    return items


def _is_key(text: str) -> bool:
    return 0 < len(text) <= _SHOWN_CHARS and text.isprintable()


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
