"""What a setting may be, in words."""

from typing import Any

import msgspec.inspect as types


def allowed(field_type: Any) -> str:
    """Return in words what a setting of this type may be, as in "must be …"."""
    return _words(types.type_info(field_type))


def _words(info: types.Type) -> str:
    match info:
        case types.Metadata(extra={"allowed": str(words)}):
            return words
        case types.UnionType(types=members):
            return f"{' or '.join(_words(m) for m in members if not isinstance(m, types.NoneType))}, or null"
        case types.BoolType():
            return "true or false"
        case types.LiteralType(values=values):
            *head, last = map(str, values)
            return f"{', '.join(head)} or {last}"
        case types.VarTupleType(item_type=item, min_length=least):
            return f"a list of {f'at least {least} of ' if least else ''}{_words(item)}"
        case types.IntType() | types.FloatType():
            return _number_words(info)
    raise AssertionError(info)


def _number_words(info: types.IntType | types.FloatType) -> str:
    kind = "a whole number" if isinstance(info, types.IntType) else "a number"
    if info.gt is not None:
        return f"{kind} above {info.gt:.15g} and at most {info.le:.15g}"
    return f"{kind} from {info.ge:.15g} to {info.le:.15g}"
