"""The OpenAPI 3.1 description of the application's routes."""

from functools import cache
from importlib.resources import files

import msgspec
import yaml

from sidecar.runtime.version import __version__


@cache
def document() -> bytes:
    """Return what `/openapi.json` answers: `openapi.yaml` with this version, as JSON."""
    text = files(__package__).joinpath("openapi.yaml").read_bytes()
    described = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    described["info"]["version"] = __version__
    return msgspec.json.encode(described)
