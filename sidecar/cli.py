"""The `mc-sidecar` command: serve (the default), check-config, demo, wait, healthcheck, top."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from sidecar.arguments import SERVING, overrides, parse
from sidecar.config.advice import no_fleet, warnings
from sidecar.config.file import load_settings
from sidecar.config.locate import CONFIG_VARIABLE, check_names, popular_file, settings_file
from sidecar.config.redaction import Redactor
from sidecar.config.secret_values import secrets_of
from sidecar.config.settings import OpsSettings, Settings
from sidecar.errors import SettingsError
from sidecar.runtime.clock import SystemClock
from sidecar.runtime.signals import unblock

if TYPE_CHECKING:
    from sidecar.app import Sidecar
    from sidecar.service.service import PreCacheService
    from sidecar.web.probe_client import Answer

BAD_SETTINGS: Final = 2
FAILED: Final = 1

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 for a failure, 2 for settings that cannot be used."""
    options = parse(arguments)
    if options.command not in SERVING:
        unblock()  # signals that came early wait for a command that handles them; they end the others
    try:
        return _COMMANDS[options.command](options, overrides(options))
    except SettingsError as error:
        for mistake in error.mistakes:
            _tell(mistake)
        return BAD_SETTINGS


def _settings(options: argparse.Namespace, flags: Mapping[str, Any]) -> Settings:
    check_names(os.environ, chosen=_settings_file(options))
    if popular := popular_file(os.environ):
        flags = {"popular_file": str(popular), **flags}
    return load_settings(_settings_file(options), environ=os.environ, overrides=flags)


def _ops(options: argparse.Namespace, flags: Mapping[str, Any]) -> OpsSettings:
    """Return where to ask; a popular list that broke while the sidecar runs must not make it look dead."""
    path = _settings_file(options)
    return load_settings(path, environ=os.environ, overrides=flags, with_popular=False).ops


def _settings_file(options: argparse.Namespace) -> Path | None:
    """Return the file that the flag names, else the one that the environment names."""
    named = getattr(options, "config", None)
    return Path(named) if named else settings_file(os.environ)


def _check_config(options: argparse.Namespace, flags: Mapping[str, Any]) -> int:
    settings, file = _settings(options, flags), _settings_file(options)
    if settings.popular_mistakes:
        raise SettingsError(list(settings.popular_mistakes))
    for text in warnings(settings):
        _tell(text)
    checked = "the settings" if file else f"without --config or ${CONFIG_VARIABLE}: the built-in settings"
    origin = settings.popular_path or "the built-in list"
    sys.stdout.write(f"{checked} are good; {len(settings.popular)} popular tokens from {origin}\n")
    return 0


def _serve(options: argparse.Namespace, flags: Mapping[str, Any]) -> int:
    return _run(_serving(_settings(options, flags), _settings_file(options)))


def _demo(options: argparse.Namespace, flags: Mapping[str, Any]) -> int:
    async def demo() -> int:
        from sidecar.demo import Market, serve  # noqa: PLC0415 - only the demo pays for its import

        async with serve(Market(seed=options.seed, tokens=options.tokens)) as base_urls:
            sources = {f"sources.{source}.base_url": url for source, url in base_urls.items()}
            fleet = {"fleet.redis_url": options.redis_url} if options.redis_url else {}
            settings = _settings(options, {**flags, **sources, **fleet})
            if fleet and (mistakes := no_fleet(options.redis_url)):
                raise SettingsError(mistakes)
            return await _serving(settings, _settings_file(options), listening=_say_what_to_try)

    return _run(demo())


def _say_what_to_try(sidecar: "Sidecar") -> None:
    """Write what there is to see in the demo; on standard output, apart from the log."""
    from sidecar.demo.hints import hints  # noqa: PLC0415 - only the demo pays for its import

    sys.stdout.write(hints(sidecar.api_addresses[0], sidecar.ops_addresses[0]))
    sys.stdout.flush()


def _wait(options: argparse.Namespace, flags: Mapping[str, Any]) -> int:
    from sidecar.web.probe_client import wait_until_started  # noqa: PLC0415 - serve does without the HTTP client

    waiting = wait_until_started(_ops(options, flags), options.timeout, SystemClock(), warm=options.warm)
    return _answered(asyncio.run(waiting))


def _healthcheck(options: argparse.Namespace, flags: Mapping[str, Any]) -> int:
    from sidecar.web.probe_client import ask  # noqa: PLC0415 - serve does without the HTTP client

    return _answered(ask(_ops(options, flags), "/livez"))


def _top(options: argparse.Namespace, flags: Mapping[str, Any]) -> int:
    from sidecar.top.watch import watch  # noqa: PLC0415 - serve does without it

    screen = None
    if sys.stdout.isatty() and not options.once:
        try:
            from sidecar.top.table import Screen  # noqa: PLC0415 - only this needs the extra
        except ModuleNotFoundError:
            _tell("the live table needs rich: pip install 'mc-sidecar[top]'; --once does without")
            return FAILED
        screen = Screen()
    with suppress(KeyboardInterrupt):
        try:
            return asyncio.run(watch(_ops(options, flags), screen, once=options.once))
        except BrokenPipeError:  # what reads the lines has had enough; nor can what is left be written at the exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _answered(answer: "Answer") -> int:
    """Return the exit code for a probe's answer, and say what is wrong or still missing."""
    if not answer.good:
        _tell(answer.text)
    elif answer.unanswered:
        _tell(f"started without {answer.unanswered}")
    return 0 if answer.good else FAILED


def _tell(text: str) -> None:
    sys.stderr.write(f"mc-sidecar: {text}\n")


def _run(work: Any) -> int:
    import uvloop  # noqa: PLC0415 - the commands that do not serve are over sooner without it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code: int = runner.run(work)
        return code


async def _serving(
    settings: Settings, file: Path | None, *, listening: Callable[["Sidecar"], None] = lambda _: None
) -> int:
    from sidecar.app import Sidecar  # noqa: PLC0415 - check-config does without the web framework
    from sidecar.runtime.logs import configure_logging, format_in_effect  # noqa: PLC0415 - same

    redactor = Redactor(secrets_of(settings))
    log_format = format_in_effect(settings, terminal=sys.stderr.isatty())
    configure_logging(settings.log.level, log_format, redactor)
    for text in warnings(settings):
        log.warning(text)
    settings = replace(settings, log=replace(settings.log, format=log_format))
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        _handle_signals(stop, stack)
        sidecar = Sidecar(settings, redactor=redactor, settings_file=file, listening=listening)
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
        unblock(number)


def _reload_on_hangup(service: "PreCacheService", stack: AsyncExitStack) -> None:
    """SIGHUP reads the popular list again. Before the start it was just read, after the stop it is not needed."""
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        if service.running:
            under_way.add(task := loop.create_task(service.reload(), name="reload:SIGHUP"))
            task.add_done_callback(under_way.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    stack.callback(loop.remove_signal_handler, signal.SIGHUP)
    unblock(signal.SIGHUP)


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace, Mapping[str, Any]], int]]] = {
    "serve": _serve,
    "check-config": _check_config,
    "demo": _demo,
    "wait": _wait,
    "healthcheck": _healthcheck,
    "top": _top,
}
