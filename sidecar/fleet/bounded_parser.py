"""An end to the memory that one answer of Redis takes: a stream may hold what another program wrote."""

from typing import Final

from redis._parsers import _AsyncRESP2Parser
from redis.exceptions import ConnectionError as RedisConnectionError

LONGEST_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""More than the longest news of the fleet's own takes."""


class BoundedParser(_AsyncRESP2Parser):
    """The client's parser, which gives an answer up, and with it the connection, that gets too long."""

    async def _read(self, length: int) -> bytes:
        if self._pos + length > LONGEST_ANSWER_BYTES:
            raise RedisConnectionError("an answer is too long")
        answer: bytes = await super()._read(length)
        return answer
