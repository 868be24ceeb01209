"""How large a request may be, and how long a client may take over what."""

from typing import Final, NamedTuple

MOST_MINTS_IN_QUERY: Final = 100
MOST_MINTS_IN_BODY: Final = 1000
MOST_MINTS_IN_STREAM: Final = 100
LONGEST_TARGET_BYTES: Final = 8 * 1024
LARGEST_HEADERS_BYTES: Final = 16 * 1024
LARGEST_BODY_BYTES: Final = 128 * 1024
"""A thousand mints take about 50 KB."""
PARSER_LIMIT_BYTES: Final = 64 * 1024
"""What the HTTP parser takes of one line; the limits above are those that its route holds a request to."""
LARGEST_FIELD_BYTES: Final = PARSER_LIMIT_BYTES // 2
"""What it takes of one field. Smaller than a line: its error tells the two apart by the limit alone."""
LARGEST_HEAD_BYTES: Final = PARSER_LIMIT_BYTES
READ_BUFFER_BYTES: Final = 16 * 1024
"""How much of a body may wait for the handler before the client has to."""


class Limits(NamedTuple):
    """How many connections a listener has, and how many seconds each may take over what."""

    connections: int
    head_seconds: float = 5.0
    """From the connection, or the first byte of a later request, to the end of the header fields."""
    body_seconds: float = 5.0
    """From there to the end of the body."""
    write_seconds: float = 10.0
    """Something of an answer has not been taken by the client, and no further request begins."""
    stuck_seconds: float = 60.0
    """Nothing at all of a LongAnswer has been taken: a slow client is let be, a dead one is not."""
    idle_seconds: float = 75.0
    """From an answer to the first byte of the next request."""
    linger_seconds: float = 2.0
    """How long what a refused client goes on sending is read, so that it gets to see why."""
