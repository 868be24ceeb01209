"""What every part of the settings has in common."""

import msgspec

from sidecar.config.redaction import masked


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the settings; its `repr` shows no secret."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({masked(msgspec.to_builtins(self))!r})"
