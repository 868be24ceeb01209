"""mc-sidecar: warm Solana token market caps for the application in the same pod.

Embedded in an application, three functions start and stop one shared service:

    service = await start_precache_service()
    cap = await service.get("JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN")
    await stop_precache_service()

What they need is imported when they are first used, so that importing one module of the package stays cheap.
"""

from typing import TYPE_CHECKING, Any

from sidecar.runtime.version import __version__

if TYPE_CHECKING:
    from sidecar.config import Settings
    from sidecar.errors import McSidecarError
    from sidecar.models import MarketCap
    from sidecar.service.embedding import get_precache_service, start_precache_service, stop_precache_service
    from sidecar.service.service import PreCacheService

__all__ = [
    "MarketCap",
    "McSidecarError",
    "PreCacheService",
    "Settings",
    "__version__",
    "get_precache_service",
    "start_precache_service",
    "stop_precache_service",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sidecar' has no attribute {name!r}")
    from sidecar.service import embedding  # noqa: PLC0415 - on first use, see above

    return getattr(embedding, name)
