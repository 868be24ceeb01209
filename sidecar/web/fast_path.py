"""The shortest way to an answer: what is in memory is served where the bytes of a request arrive."""

import re
from collections.abc import Iterable
from email.utils import formatdate
from typing import Final

from aiohttp import hdrs, web
from aiohttp.http import SERVER_SOFTWARE

from sidecar.models import LONGEST_MINT_CHARS, Mint
from sidecar.runtime.bounded import BoundedDict
from sidecar.service.service import PreCacheService
from sidecar.web.batch_body import batch_from_memory
from sidecar.web.limits import MOST_MINTS_IN_QUERY
from sidecar.web.token_body import tracked_body

_PREFIX: Final = b"GET /mc/"
_BATCH_PREFIX: Final = b"GET /mc?mints="
_LONGEST_LIST_BYTES: Final = MOST_MINTS_IN_QUERY * (LONGEST_MINT_CHARS + 1)
_PLAIN: Final = re.compile(rb"GET /mc(?:/|\?mints=)[1-9A-HJ-NP-Za-km-z,]{32,%d}" % _LONGEST_LIST_BYTES)
"""A request line up to its version, of one mint or of several."""
_VERSION: Final = b" HTTP/1.1\r\n"
_MOST_HEADS: Final = 64
_LARGEST_HEAD_BYTES: Final = 4096
_TEMPLATE: Final = "/mc/{mint}"
_BATCH_TEMPLATE: Final = "/mc"
_OK: Final = 200
_SHORT_SECONDS: Final = 0.0001
"""The first bucket of the durations: what takes longer is counted by itself."""
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nAge: %d\r\nCache-Control: max-age=%d\r\n"
    b"Cache-Status: mc-sidecar; hit\r\nContent-Length: %d\r\nDate: %b\r\n"
    b"Server: " + SERVER_SOFTWARE.encode() + b"\r\n\r\n%b"
)
_BATCH_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
    b"Content-Length: %d\r\nDate: %b\r\nServer: " + SERVER_SOFTWARE.encode() + b"\r\n\r\n%b"
)


class FastPath:
    """Answers `GET /mc/{mint}` for a tracked token, and `GET /mc?mints=…` where nothing has to be asked for.

    It answers and counts exactly as the routes do. It knows what a request looks like but for its mints when one
    with the same bytes around it has passed all checks and was answered with 200. Whatever else a connection
    receives is none of its business.
    """

    def __init__(self, service: PreCacheService) -> None:
        self._lookups = service.lookups
        self._clock = service.clock
        self._stats = service.metrics.hot.route(_TEMPLATE)
        self._batch_stats = service.metrics.hot.route(_BATCH_TEMPLATE)
        self._heads = BoundedDict[bytes, None](_MOST_HEADS)
        self._answered = 0
        self._seconds = 0.0
        self._date = b""
        self._date_until = 0.0
        service.metrics.hot.before_reading("fast path", self._fold)

    def answer(self, data: bytes) -> bytes | None:
        """Return the answer to what a connection has received, None when it is not for the fast path."""
        end = data.find(b" ", 8)
        if data[end:] not in self._heads:
            return None
        if not data.startswith(_PREFIX):
            return self._answer_batch(data, end) if data.startswith(_BATCH_PREFIX) else None
        now = self._clock.monotonic()
        entry = self._lookups.find_entry(Mint(str(data[8:end], "latin-1")), now)
        if entry is None:
            return None
        if now >= self._date_until:
            self._read_date(now)
        age = now - entry.received
        body = tracked_body(entry, age)
        answer = _ANSWER % (age, entry.max_age, len(body), self._date, body)
        seconds = self._clock.monotonic() - now
        if seconds < _SHORT_SECONDS:
            self._answered += 1
            self._seconds += seconds
        else:
            self._stats.record(_OK, seconds)
        return answer

    def _answer_batch(self, data: bytes, end: int) -> bytes | None:
        mints = str(data[len(_BATCH_PREFIX) : end], "latin-1").split(",")
        now = self._clock.monotonic()
        if len(mints) > MOST_MINTS_IN_QUERY or (body := batch_from_memory(self._lookups, mints, now)) is None:
            return None
        if now >= self._date_until:
            self._read_date(now)
        answer = _BATCH_HEAD % (len(body), self._date, body)
        self._batch_stats.record(_OK, self._clock.monotonic() - now)
        return answer

    def learn(self, data: bytes, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Remember the bytes of a request that was answered, if the next like it can be answered here."""
        end = data.find(b" ", 8)
        head = data[end:]
        is_plain = head.startswith(_VERSION) and _PLAIN.fullmatch(data, 0, end)
        is_good = response.status == _OK and request.keep_alive and len(head) <= _LARGEST_HEAD_BYTES
        if is_plain and is_good and not {hdrs.EXPECT, hdrs.UPGRADE} & request.headers.keys():
            self._heads[head] = None

    def _read_date(self, now: float) -> None:
        time = self._clock.time()
        self._date = formatdate(int(time), usegmt=True).encode()
        self._date_until = now + 1.0 - time % 1.0

    def _fold(self) -> Iterable[None]:
        answered, seconds = self._answered, self._seconds
        if answered:
            self._answered, self._seconds = 0, 0.0
            self._stats.record_many(_OK, answered, seconds)
        return ()
