"""The kinds of value that settings have: types, ranges, and what is allowed in words where those do not say it."""

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from sidecar.sources.listing import MARKETS

if TYPE_CHECKING:
    MarketName = str
else:
    MarketName = Literal[tuple(MARKETS)]
    """The sources that give prices and trending lists."""
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]

Interval = Annotated[float, Meta(ge=0.1, le=86_400)]
Lifetime = Annotated[float, Meta(ge=0.1, le=604_800)]
Pause = Annotated[float, Meta(ge=0, le=3_600)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Usd = Annotated[float, Meta(ge=0, le=1e12)]
FilePath = Annotated[str, Meta(pattern=r"\A[^\0]{1,4096}\Z", extra={"allowed": "a file path"})]
HostName = Annotated[str, Meta(pattern=r"\A[^\s/@?#]{1,255}\Z", extra={"allowed": "a host name or IP address"})]
BaseUrl = Annotated[
    str,
    Meta(pattern=r"\A(?i:https?)://[^\s\0]{1,2000}\Z", extra={"allowed": "an http or https URL with a host"}),
]
RedisUrl = Annotated[
    str,
    Meta(
        pattern=r"\A(?i:rediss?|unix)://[^\s\0]{1,2000}\Z",
        extra={"allowed": "a redis, rediss or unix URL with a host or a socket's path"},
    ),
]
ApiKey = Annotated[str, Meta(pattern=r"\A[!-~]{1,1024}\Z", extra={"allowed": "printable ASCII without spaces"})]
FileMode = Annotated[
    str, Meta(pattern=r"\A0[67][0-7]{2}\Z", extra={"allowed": 'an octal string from "0600" to "0777"'})
]
Namespace = Annotated[
    str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z", extra={"allowed": "1 to 64 of A-Z, a-z, 0-9, . _ -"})
]
