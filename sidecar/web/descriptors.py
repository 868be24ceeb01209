"""How many connections the limit of open files leaves room for."""

import logging
import resource
from typing import Final

from sidecar.web.refusal import MOST_REFUSALS

RESERVED: Final = 64
"""Descriptors for everything that is no connection of a client: upstreams, files, the event loop's own."""

log = logging.getLogger(__name__)


def connections_that_fit(wanted: int, for_operator: int) -> int:
    """Return how many of the application's connections fit beside the operator's, at most `wanted`.

    The soft limit of open files is raised towards the hard one as far as that needs; where both are too low, the
    application gets fewer connections and the log says so: the operator's port keeps its own.
    """
    others = for_operator + 2 * MOST_REFUSALS + RESERVED
    needed = wanted + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    within_reach = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft < within_reach:
        soft = within_reach
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    fitting = max(1, min(wanted, soft - others))
    if fitting < wanted:
        log.warning(
            "the limit of open files (ulimit -n) leaves room for fewer connections than api.max_connections",
            extra={"limit": soft, "needed": needed, "max_connections": wanted, "connections": fitting},
        )
    return fitting
