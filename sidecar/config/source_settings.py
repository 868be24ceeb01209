"""The settings of the upstreams: a section for each source that is listed, with what it says of itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from sidecar.config.kinds import ApiKey, BaseUrl, FilePath
from sidecar.config.section import Section
from sidecar.sources.listing import SOURCES
from sidecar.sources.source import Source


class SourceSettings(Section, frozen=True, kw_only=True):
    """One upstream."""

    base_url: BaseUrl
    """Paths are appended and a query is kept; solana_rpc's is used exactly as given."""
    requests_per_minute: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """null: what the free tier allows."""
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=60)] = 5.0
    """For one call, from connect to the last byte."""


class KeyedSourceSettings(SourceSettings, frozen=True, kw_only=True):
    """An upstream that takes an API key: keyless without `api_key` and `api_key_file`."""

    api_key: ApiKey | None = None
    """The key itself; an empty string is no key."""
    api_key_file: FilePath | None = None
    """A file that holds the key, read again when it changes; when it is missing, calls are keyless."""


class _Sources(Section, frozen=True, kw_only=True):
    """The upstreams: a section for each of `sources.listing`, with what the source says of itself."""

    if TYPE_CHECKING:

        def __init__(self, **sources: SourceSettings) -> None: ...
        def __getattr__(self, name: str) -> SourceSettings: ...

    def items(self) -> Iterator[tuple[str, SourceSettings]]:
        """Yield each source's name and settings."""
        return ((name, getattr(self, name)) for name in self.__struct_fields__)

    def keyed(self) -> Iterator[tuple[str, KeyedSourceSettings]]:
        """Yield those that take a key."""
        return ((name, source) for name, source in self.items() if isinstance(source, KeyedSourceSettings))


def _defaults(source: type[Source]) -> SourceSettings:
    kind = KeyedSourceSettings if source.key_header else SourceSettings
    return kind(base_url=source.base_url, timeout_seconds=source.timeout_seconds)


if TYPE_CHECKING:
    SourcesSettings = _Sources
else:
    _fields = [(source.name, type(default := _defaults(source)), default) for source in SOURCES]
    SourcesSettings = msgspec.defstruct(
        "SourcesSettings", _fields, bases=(_Sources,), module=__name__, frozen=True, kw_only=True
    )


def effective_rpm(source: type[Source], settings: SourceSettings, *, has_key: bool) -> int:
    """Return the requests a minute a source may get: as set, else what its keyless or free keyed tier allows."""
    if settings.requests_per_minute is not None:
        return settings.requests_per_minute
    keyed = source.keyed_requests_per_minute if has_key else None
    return keyed or source.requests_per_minute
