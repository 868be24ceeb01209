"""What is allowed in the settings and still will not work."""

from pathlib import Path

from sidecar.config.redaction import MASK
from sidecar.config.settings import Settings
from sidecar.runtime.disk import answer_of


def warnings(settings: Settings) -> list[str]:
    """Return a line for each thing that will not work here, without secrets. Looks at the disk."""
    return [] if settings.snapshot.path is None else _no_folder(settings, Path(settings.snapshot.path).parent)


def _no_folder(settings: Settings, folder: Path) -> list[str]:
    try:
        there = answer_of(folder.is_dir)
    except OSError:
        there = False
    shown = MASK if "snapshot.path" in settings.from_environment else folder
    return [] if there else [f"snapshot.path: there is no folder {shown}, so no snapshot can be written"]
