"""Market caps over HTTP from the sidecar in the same pod, for applications in Python.

    async with MarketCaps() as caps:
        cap = await caps.get("JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN")
        async for event in caps.stream(set="popular"):
            ...

`SyncMarketCaps` is the same for code without an event loop, but for the stream. What goes wrong is raised as the
error family of `sidecar.errors`, with `code` and `retry_after`. Nothing of the server is imported.
"""

from sidecar.client.asynchronous import MarketCaps
from sidecar.client.events import Event, Joined, Left, NotPriced, Snapshot, TokenChanged
from sidecar.client.synchronous import SyncMarketCaps
from sidecar.client.wire import SidecarUnreachableError
from sidecar.errors import McSidecarError
from sidecar.models import BatchResult, MarketCap

__all__ = [
    "BatchResult",
    "Event",
    "Joined",
    "Left",
    "MarketCap",
    "MarketCaps",
    "McSidecarError",
    "NotPriced",
    "SidecarUnreachableError",
    "Snapshot",
    "SyncMarketCaps",
    "TokenChanged",
]
