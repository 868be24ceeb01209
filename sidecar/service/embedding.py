"""The embeddable API: one service for the whole process, started and stopped by the application."""

import os
from pathlib import Path

from sidecar.config.file import load_settings
from sidecar.config.settings import Settings
from sidecar.config.validation import contradictions
from sidecar.errors import McSidecarError, SettingsError
from sidecar.models import MarketCap
from sidecar.service.service import PreCacheService

__all__ = [
    "MarketCap",
    "McSidecarError",
    "PreCacheService",
    "Settings",
    "get_precache_service",
    "start_precache_service",
    "stop_precache_service",
]

_service: PreCacheService | None = None


async def start_precache_service(config: str | os.PathLike[str] | Settings | None = None) -> PreCacheService:
    """Return the running service, starting it with these settings when there is none.

    `config` is the path of a settings file, a `Settings`, or None for the defaults with the eleven popular
    tokens. While a service runs it is returned whatever `config` says. Raises SettingsError.
    """
    global _service  # noqa: PLW0603 - the one handle that this API is about
    if _service is None:
        _service = PreCacheService(_settings(config))
    service = _service  # set before it has started: a second call meanwhile waits for the same one
    await service.start()
    return service


def get_precache_service() -> PreCacheService | None:
    """Return the running service, None when it is not started."""
    return _service


async def stop_precache_service() -> None:
    """Stop the service; harmless when there is none."""
    global _service
    service, _service = _service, None
    if service is not None:
        await service.stop()


def _settings(config: str | os.PathLike[str] | Settings | None) -> Settings:
    if not isinstance(config, Settings):
        return load_settings(None if config is None else Path(config), environ=os.environ)
    if mistakes := [text for _, text in contradictions(config)]:
        raise SettingsError(mistakes)
    return config
