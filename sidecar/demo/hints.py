"""What to open and to try while the demo runs."""

import sys
from typing import Final

_JUP: Final = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"
_EVERY_ADDRESS: Final = ("http://0.0.0.0:", "http://[::]:")
_OPS_PORT: Final = "9765"


def hints(api: str, ops: str) -> str:
    """Return the text shown when the demo has started, made from the addresses that it listens on."""
    for address in _EVERY_ADDRESS:
        ops = ops.replace(address, "http://127.0.0.1:")
    port = ops.rpartition(":")[2]
    curl = f"curl -N {api}" if api.startswith("http") else f"curl -N --unix-socket {api[5:]} http://localhost"
    return "\n".join(
        (
            "The market is simulated: its prices are made up, and neither network nor keys are needed.",
            f"  open {ops}/",
            f"  try  {curl}/mc/{_JUP}",
            f"       {curl}'/mc?set=tracked&limit=3'",
            f"       {curl}'/mc/stream?set=popular'",
            f"       {sys.executable} -m sidecar top --once{'' if port == _OPS_PORT else f' --ops-port {port}'}",
            "",
        )
    )
