"""Read one small YAML file into plain dicts, lists and scalars, strictly.

Scalars follow YAML 1.2's core schema (`yes`, `on` and `0666` are strings, `1e6` is a number). Duplicate keys,
anchors, aliases and tags are refused: the first hide a mistake, with the others a small file becomes a large one.
"""

import re
from pathlib import Path
from typing import Any, Final

import yaml

from sidecar.errors import SettingsError

MAX_BYTES: Final = 1 << 20
MOST_ROWS: Final = 1_000
_VALUES_A_ROW: Final = 10
_MAX_DEPTH: Final = 10
_SHOWN_CHARS: Final = 64
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,99})")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


class MissingFileError(SettingsError):
    """There is no such file."""


class TooManyRowsError(SettingsError):
    """A list in the file is longer than it may be."""


class _YamlMistakeError(Exception):
    """The YAML is well formed and still not acceptable."""


class _RowTooManyError(_YamlMistakeError):
    """The first row beyond the limit."""


def read_yaml(path: Path) -> Any:
    """Return what the file holds, None when it holds nothing. Raises SettingsError as `parse_yaml` does."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    return parse_yaml(path, content)


def unreadable(path: Path, error: OSError) -> SettingsError:
    """Return the mistake that a file cannot be read, a MissingFileError when there is none."""
    kind = MissingFileError if isinstance(error, FileNotFoundError) else SettingsError
    return kind([f"{path}: cannot be read: {error.strerror}"])


def parse_yaml(
    path: Path, content: bytes, *, most_rows: int = MOST_ROWS, limit: str = "a list: must be at most"
) -> Any:
    """Return what the content of a file holds, None when it holds nothing.

    `limit` says what is too long in a list of more than `most_rows`. Raises SettingsError, naming the file as
    given, when it is over 1 MiB or not acceptable; TooManyRowsError at the first row too many, without a look at
    the rest.
    """
    try:
        return _StrictLoader(_text(content), most_rows).get_single_data()
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except yaml.MarkedYAMLError as error:
        reason = f"is not valid YAML: {_place(error.problem_mark)}: {str(error.problem).removeprefix('but ')}"
    except yaml.reader.ReaderError as error:
        reason = f"is not valid YAML: {error.reason}"
    except _RowTooManyError as error:
        raise TooManyRowsError([f"{path}: {limit} ({most_rows}); {error} is one too many"]) from error
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


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _YamlMistakeError("is larger than 1 MiB")
    return content.decode("utf-8-sig")


class _StrictLoader(yaml.SafeLoader):
    """Composes and constructs one document, within limits."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - so that each plain scalar is text until `scalar` reads it

    def __init__(self, text: str, most_rows: int) -> None:
        super().__init__(text)
        self._most_rows = most_rows
        self._values_left = _VALUES_A_ROW * (most_rows + MOST_ROWS)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Check a value before it is composed; `index` is its place in a list."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call] # untyped in PyYAML
        self._values_left -= 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _mistake(event, "anchors and aliases are not supported")
        if event.tag is not None:
            raise _mistake(event, "tags are not supported")
        if self._depth > _MAX_DEPTH:
            raise _mistake(event, "nested too deeply")
        if self._values_left < 0:
            raise _mistake(event, "there are too many values")
        if isinstance(index, int) and index >= self._most_rows:
            raise _RowTooManyError(_place(event.start_mark))
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002, FBT001, FBT002 - PyYAML's
        """Return a mapping of texts to values, each key there once."""
        items: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or not _is_key(key.value):
                raise _mistake(key, "a key must be 1 to 64 printable characters")
            if key.value in items:
                raise _mistake(key, f"the key {key.value!r} is there twice")
            items[key.value] = self.construct_object(value, deep=True)
        return items

    def construct_text(self, node: Any) -> str | float | bool | None:
        """Return the value of a plain scalar, the text of a quoted one."""
        return scalar(node.value) if node.style is None else str(node.value)


_StrictLoader.add_constructor("tag:yaml.org,2002:str", _StrictLoader.construct_text)


def _is_key(text: str) -> bool:
    return 0 < len(text) <= _SHOWN_CHARS and text.isprintable()


def _mistake(at: Any, text: str) -> _YamlMistakeError:
    return _YamlMistakeError(f"{_place(at.start_mark)}: {text}")


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"
