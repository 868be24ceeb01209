"""The `mc-sidecar` command: serve (the default), check-config, demo, wait, healthcheck."""

import argparse
import asyncio
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from sidecar.config.file import load_settings
from sidecar.config.locate import CONFIG_VARIABLE, check_names, popular_file, settings_file
from sidecar.config.redaction import Redactor
from sidecar.config.secret_values import secrets_of
from sidecar.config.settings import OpsSettings, Settings
from sidecar.config.yaml_file import scalar
from sidecar.errors import SettingsError
from sidecar.runtime.clock import SystemClock
from sidecar.runtime.signals import release
from sidecar.runtime.version import __version__

if TYPE_CHECKING:
    from sidecar.service.service import PreCacheService

BAD_SETTINGS: Final = 2
FAILED: Final = 1

_HANDLING_SIGNALS: Final = frozenset({"serve", "demo"})
"""Signals that came early wait for these; they end the other commands."""

_OVERRIDES: Final = {
    "log_level": "log.level",
    "api_port": "api.port",
    "ops_port": "ops.port",
    "allow_non_loopback": "api.allow_non_loopback",
    "snapshot_path": "snapshot.path",
    "linger_seconds": "shutdown.linger_seconds",
}

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 for a failure, 2 for settings that cannot be used."""
    options = _parser().parse_args(arguments)
    command = options.command or "serve"
    if command not in _HANDLING_SIGNALS:
        release()
    given = {key: getattr(options, name) for name, key in _OVERRIDES.items() if hasattr(options, name)}
    overrides = {key: scalar(value) if isinstance(value, str) else value for key, value in given.items()}
    try:
        return _COMMANDS[command](options, overrides)
    except SettingsError as error:
        for mistake in error.mistakes:
            sys.stderr.write(f"mc-sidecar: {mistake}\n")
        return BAD_SETTINGS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mc-sidecar", description="Keeps Solana token market caps warm.")
    parser.add_argument("--version", action="version", version=f"mc-sidecar {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve until SIGTERM (the default)")
    check = commands.add_parser("check-config", help="check the settings and exit")
    demo = commands.add_parser("demo", help="serve against a simulated market")
    demo.add_argument("--seed", type=int, default=1, help="which market; the same seed, the same market")
    demo.add_argument("--tokens", type=int, default=300, help="how many tokens the market has")
    wait = commands.add_parser("wait", help="wait until the running sidecar is warm")
    wait.add_argument("--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="at most this long; 30")
    health = commands.add_parser("healthcheck", help="exit with 0 when the running sidecar is live, else with 1")
    for one in (parser, serve, check, demo, wait, health):
        _add_settings_flags(one)
    return parser


def _seconds(text: str) -> float:
    """Return a time to wait; not NaN, which never ends."""
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more, not {text}")
    return seconds


def _add_settings_flags(parser: argparse.ArgumentParser) -> None:
    """Take the flags before the command and after it; one that is not given leaves no trace."""

    def add(flag: str, metavar: str, text: str) -> None:
        parser.add_argument(flag, metavar=metavar, help=text, default=argparse.SUPPRESS)

    add("--config", "FILE", f"the settings; else the file that ${CONFIG_VARIABLE} names, else the defaults")
    add("--log-level", "LEVEL", "debug, info, warning or error")
    add("--api-port", "PORT", "the application's port; 0 takes a free one")
    add("--ops-port", "PORT", "the operator's port; 0 takes a free one")
    add("--snapshot-path", "FILE", "where values survive a restart of the process")
    add("--linger-seconds", "SECONDS", "how long requests are answered as before after SIGTERM")
    parser.add_argument(
        "--allow-non-loopback",
        action="store_true",
        help="let api.host be an address that others can reach",
        default=argparse.SUPPRESS,
    )


def _settings(options: argparse.Namespace, overrides: Mapping[str, Any]) -> Settings:
    check_names(os.environ, chosen=_settings_file(options))
    if popular := popular_file(os.environ):
        overrides = {"popular_file": str(popular), **overrides}
    return load_settings(_settings_file(options), environ=os.environ, overrides=overrides)


def _ops(options: argparse.Namespace, overrides: Mapping[str, Any]) -> OpsSettings:
    """Return where to ask; a popular list that broke while the sidecar runs must not make it look dead."""
    path = _settings_file(options)
    return load_settings(path, environ=os.environ, overrides=overrides, with_popular=False).ops


def _settings_file(options: argparse.Namespace) -> Path | None:
    """Return the file that the flag names, else the one that the environment names."""
    named = getattr(options, "config", None)
    return Path(named) if named else settings_file(os.environ)


def _check_config(options: argparse.Namespace, overrides: Mapping[str, Any]) -> int:
    settings = _settings(options, overrides)
    if settings.popular_mistakes:
        raise SettingsError(list(settings.popular_mistakes))
    origin = settings.popular_path or "the built-in list"
    sys.stdout.write(f"the settings are good; {len(settings.popular)} popular tokens from {origin}\n")
    return 0


def _serve(options: argparse.Namespace, overrides: Mapping[str, Any]) -> int:
    return _run(_serving(_settings(options, overrides), _settings_file(options)))


def _demo(options: argparse.Namespace, overrides: Mapping[str, Any]) -> int:
    async def demo() -> int:
        from sidecar.demo import Market, serve  # noqa: PLC0415 - only the demo pays for its import

        async with serve(Market(seed=options.seed, tokens=options.tokens)) as base_urls:
            sources = {f"sources.{source}.base_url": url for source, url in base_urls.items()}
            return await _serving(_settings(options, {**overrides, **sources}), _settings_file(options))

    return _run(demo())


def _wait(options: argparse.Namespace, overrides: Mapping[str, Any]) -> int:
    from sidecar.web.probe_client import wait_until_started  # noqa: PLC0415 - serve does without the HTTP client

    ops = _ops(options, overrides)
    return _told(asyncio.run(wait_until_started(ops, options.timeout, SystemClock())))


def _healthcheck(options: argparse.Namespace, overrides: Mapping[str, Any]) -> int:
    from sidecar.web.probe_client import ask  # noqa: PLC0415 - serve does without the HTTP client

    return _told(ask(_ops(options, overrides), "/livez"))


def _told(answer: tuple[bool, str]) -> int:
    good, text = answer
    if not good:
        sys.stderr.write(f"mc-sidecar: {text}\n")
    return 0 if good else FAILED


def _run(work: Any) -> int:
    import uvloop  # noqa: PLC0415 - the commands that do not serve are over sooner without it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code: int = runner.run(work)
        return code


async def _serving(settings: Settings, file: Path | None) -> int:
    from sidecar.app import Sidecar  # noqa: PLC0415 - check-config does without the web framework
    from sidecar.runtime.logs import configure_logging, format_in_effect  # noqa: PLC0415 - same

    redactor = Redactor(secrets_of(settings))
    log_format = format_in_effect(settings, terminal=sys.stderr.isatty())
    configure_logging(settings.log.level, log_format, redactor)
    settings = replace(settings, log=replace(settings.log, format=log_format))
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        _handle_signals(stop, stack)
        sidecar = Sidecar(settings, redactor=redactor, settings_file=file)
        _reload_on_hangup(sidecar.service, stack)
        try:
            await sidecar.run(stop)
        except SettingsError:
            raise
        except Exception:
            log.exception("mc-sidecar broke down")
            return FAILED
    return 0


def _handle_signals(stop: asyncio.Event, stack: AsyncExitStack) -> None:
    """SIGTERM and SIGINT stop in order; the second one exits now."""
    loop = asyncio.get_running_loop()

    def stop_now_or_in_order(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_now_or_in_order, number)
        stack.callback(loop.remove_signal_handler, number)
        release(number)


def _reload_on_hangup(service: "PreCacheService", stack: AsyncExitStack) -> None:
    """SIGHUP reads the popular list again. Before the start it was just read, after the stop nobody needs it."""
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        if service.running:
            under_way.add(task := loop.create_task(service.reload(), name="reload:SIGHUP"))
            task.add_done_callback(under_way.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    stack.callback(loop.remove_signal_handler, signal.SIGHUP)
    release(signal.SIGHUP)


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace, Mapping[str, Any]], int]]] = {
    "serve": _serve,
    "check-config": _check_config,
    "demo": _demo,
    "wait": _wait,
    "healthcheck": _healthcheck,
}
