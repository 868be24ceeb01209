"""The flags and commands of `mc-sidecar`."""

import argparse
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sidecar.config.locate import CONFIG_VARIABLE
from sidecar.config.yaml_file import scalar
from sidecar.runtime.version import __version__

SERVING: Final = frozenset({"serve", "demo"})
"""Commands that run until a signal."""


class Flag(NamedTuple):
    """A flag that beats a setting."""

    flag: str
    key: str | None
    """The dotted key that it beats; None for the settings file itself."""
    metavar: str | None
    """What stands for its value in the help; None: it is a switch."""
    text: str


FLAGS: Final = (
    Flag("--config", None, "FILE", f"the settings; else the file in ${CONFIG_VARIABLE}, else the defaults"),
    Flag("--log-level", "log.level", "LEVEL", "debug, info, warning or error"),
    Flag("--api-port", "api.port", "PORT", "the application's port; 0 takes a free one"),
    Flag("--ops-port", "ops.port", "PORT", "the operator's port; 0 takes a free one"),
    Flag("--snapshot-path", "snapshot.path", "FILE", "where values survive a restart of the process"),
    Flag("--linger-seconds", "shutdown.linger_seconds", "SECONDS", "how long it answers as before after SIGTERM"),
    Flag("--allow-non-loopback", "api.allow_non_loopback", None, "let api.host be an address others can reach"),
)
_ASKING_FLAGS: Final = frozenset({"--config", "--ops-port"})
"""What of the settings a command needs that only asks a running sidecar."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line says; `command` is serve when it names none."""
    options = parser().parse_args(arguments)
    options.command = options.command or "serve"
    return options


def overrides(options: argparse.Namespace) -> dict[str, Any]:
    """Return by dotted key what the flags say of the settings; a flag that is not given leaves no trace."""
    given = {one.key: getattr(options, _name(one)) for one in FLAGS if one.key and hasattr(options, _name(one))}
    return {key: scalar(value) if isinstance(value, str) else value for key, value in given.items()}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = argparse.ArgumentParser(prog="mc-sidecar", description="Keeps Solana token market caps warm.")
    whole.add_argument("--version", action="version", version=f"mc-sidecar {__version__}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve until SIGTERM (the default)")
    check = commands.add_parser("check-config", help="check the settings and exit")
    demo = commands.add_parser("demo", help="serve against a simulated market")
    demo.add_argument("--seed", type=int, default=1, help="which market; the same seed, the same market")
    demo.add_argument("--tokens", type=int, default=300, help="how many tokens the market has")
    demo.add_argument("--redis-url", metavar="URL", help="the Redis of a fleet that it joins; start a second one")
    wait = commands.add_parser("wait", help="wait until the running sidecar has started")
    wait.add_argument("--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="at most this long; 30")
    wait.add_argument("--warm", action="store_true", help="until every popular token has been answered")
    health = commands.add_parser("healthcheck", help="exit with 0 when the running sidecar is live, else with 1")
    top = commands.add_parser("top", help="show the running sidecar, live in the terminal")
    top.add_argument("--once", action="store_true", help="print it once, as lines")
    for one in (whole, serve, check, demo):
        _add_flags(one)
    for one in (wait, health, top):
        _add_flags(one, listed=_ASKING_FLAGS)
    return whole


def _seconds(text: str) -> float:
    """Return a time to wait; not NaN, which never ends."""
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {text}")
    return seconds


def _add_flags(parser: argparse.ArgumentParser, listed: frozenset[str] | None = None) -> None:
    """Take the flags before the command and after it; those that change nothing for it are not listed."""
    for one in FLAGS:
        action = {"metavar": one.metavar} if one.metavar else {"action": "store_true"}
        text = one.text if listed is None or one.flag in listed else argparse.SUPPRESS
        parser.add_argument(one.flag, help=text, default=argparse.SUPPRESS, **action)  # type: ignore[arg-type] # one of two forms


def _name(flag: Flag) -> str:
    return flag.flag.removeprefix("--").replace("-", "_")
