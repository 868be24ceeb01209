"""The `mc-sidecar` command, also as `python -m sidecar`."""

from sidecar.runtime.signals import block, unblock


def main() -> int:
    """Run the command and return its exit code; a signal waits until the command can handle it."""
    block()
    try:
        from sidecar.cli import main as run  # noqa: PLC0415 - takes long enough for a signal to come

        return run()
    finally:
        unblock()


if __name__ == "__main__":
    raise SystemExit(main())
