"""Ask the running sidecar from another process, without a shell: `mc-sidecar wait` and `healthcheck`."""

import asyncio
from http.client import HTTPConnection, HTTPException
from typing import Final, NamedTuple

import msgspec

from sidecar.config.settings import OpsSettings
from sidecar.runtime.clock import Clock

TIMEOUT_SECONDS: Final = 2.0
"""For one answer; the kubelet is not more patient by default."""
PAUSE_SECONDS: Final = 0.2
"""Between two questions of `wait_until_started`."""

_LOOPBACK: Final = ("127.0.0.1", "::1")
"""Not the name localhost, which an image without /etc/hosts cannot resolve."""
_EVERY_ADDRESS: Final = (None, "0.0.0.0", "::")  # noqa: S104 - where the sidecar listens, not this process
_SHOWN_BYTES: Final = 2_048
_OK: Final = 200


class Answer(NamedTuple):
    """What a probe said: whether it is good, and its conditions."""

    good: bool
    text: str

    @property
    def unanswered(self) -> str:
        """The popular tokens that start-up waits for, or has given up on, in words; empty when there are none."""
        try:
            conditions = msgspec.json.decode(self.text, type=_Conditions)
        except msgspec.DecodeError:
            return ""
        more = conditions.popular_unanswered - len(conditions.waiting_for)
        return ", ".join([*conditions.waiting_for, *([f"{more} more"] if more > 0 else [])])


class _Conditions(msgspec.Struct):
    """What `/startupz` says."""

    popular_unanswered: int = 0
    waiting_for: list[str] = []


def ask(ops: OpsSettings, path: str) -> Answer:
    """GET a probe of the sidecar that listens as the settings say. No answer is not a good one."""
    hosts = _LOOPBACK if ops.host in _EVERY_ADDRESS else (str(ops.host),)
    failures = []
    for host in hosts:
        try:
            return _get(HTTPConnection(host, ops.port, timeout=TIMEOUT_SECONDS), path)
        except (OSError, HTTPException) as error:
            failures.append(f"{host} port {ops.port}: {error}")
    return Answer(good=False, text=f"no answer from {', '.join(failures)}")


def _get(connection: HTTPConnection, path: str) -> Answer:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status == _OK, response.read(_SHOWN_BYTES).decode(errors="replace"))
    finally:
        connection.close()


async def wait_until_started(
    ops: OpsSettings, timeout_seconds: float, clock: Clock, *, warm: bool = False
) -> Answer:
    """Ask `/startupz` until it is good or so many seconds are over; return the last answer.

    `warm`: it is not good before each popular token has been answered, whatever the start-up deadline.
    """
    deadline = clock.monotonic() + timeout_seconds
    while True:
        answer = await asyncio.to_thread(ask, ops, "/startupz")
        if warm and answer.unanswered:
            answer = Answer(good=False, text=f"not warm: no answer yet for {answer.unanswered}")
        if answer.good or clock.monotonic() >= deadline:
            return answer
        await clock.sleep(PAUSE_SECONDS)
