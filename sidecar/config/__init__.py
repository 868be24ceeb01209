"""The settings: typed, strict, every mistake at once. `Settings` is what a caller builds or loads."""

from sidecar.config.file import load_settings
from sidecar.config.settings import Settings

__all__ = ["Settings", "load_settings"]
