"""Keep secrets out of what is shown: settings as shown, log lines, exception texts."""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

MASK: Final = "***"
MIN_SECRET_CHARS: Final = 4
"""Anything shorter would mask half of every text and is no secret worth the name."""

_MAX_LEARNT: Final = 32
_LONG_SEGMENT_CHARS: Final = 16
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Redactor:
    """Replaces secrets in a text by `***`, percent-encoded or not: a client prints URLs in its own encoding."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._given = tuple(secrets)
        self._learnt: deque[str] = deque(maxlen=_MAX_LEARNT)
        self._pattern = _pattern(self._given)

    def learn(self, secret: str) -> None:
        """Mask this one too; of those that came in this way the last 32 are known."""
        if secret not in self._learnt:
            self._learnt.append(secret)
            self._pattern = _pattern((*self._given, *self._learnt))

    def redact(self, text: str) -> str:
        """Return the text without secrets."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def masked(
    tree: Mapping[str, Any], secret_paths: frozenset[str] = frozenset(), prefix: str = ""
) -> dict[str, Any]:
    """Copy nested settings with `***` for keys, for the dotted paths given, and after a URL's origin."""
    return {name: _masked(name, value, secret_paths, f"{prefix}{name}") for name, value in tree.items()}


def is_secret_name(path: str) -> bool:
    """Return whether a dotted path ends in a name that holds a secret."""
    return "key" in path.rpartition(".")[2].lower()


def is_url_name(path: str) -> bool:
    """Return whether a dotted path names a URL of which only the origin may be shown."""
    return path.endswith(("base_url", "redis_url"))


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, then `/***` where there is more; `***` when it has no host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return MASK
    if not host or not parts.scheme:
        return MASK
    host = f"[{host}]" if ":" in host else host
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{f'/{MASK}' if more else ''}"


def secret_parts(url: str) -> set[str]:
    """Return what must not be shown of a URL: user, password, path, query, and whatever in them may be a key."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return {url}
    segments = {part for part in parts.path.split("/") if len(part) >= _LONG_SEGMENT_CHARS}
    values = {value for _, value in parse_qsl(parts.query)}
    user_and_password = parts.netloc.rpartition("@")[0]
    found = {
        user_and_password,
        *user_and_password.split(":", 1),
        parts.path.rstrip("/"),
        parts.query,
        parts.fragment,
    }
    return {part for part in found | segments | values if len(part) >= MIN_SECRET_CHARS}


def _masked(name: str, value: Any, secret_paths: frozenset[str], path: str) -> Any:
    if value is None:
        return None
    if path in secret_paths or is_secret_name(name):
        return MASK
    if isinstance(value, Mapping):
        return masked(value, secret_paths, f"{path}.")
    return origin(value) if is_url_name(name) else value


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Match any of the secrets, the longest first, since one may be a part of another."""
    usable = {text for secret in secrets for text in (secret, unquote(secret)) if len(text) >= MIN_SECRET_CHARS}
    ordered = sorted(usable, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(_any_encoding, ordered))) if ordered else None


def _any_encoding(secret: str) -> str:
    return "".join(char if char in _PLAIN - {"."} else _any_form(char) for char in secret)


def _any_form(char: str) -> str:
    encoded = "".join(f"%{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    forms = [f"(?i:{encoded})", re.escape(char), *([r"\+"] if char == " " else [])]
    return f"(?:{'|'.join(forms)})"
