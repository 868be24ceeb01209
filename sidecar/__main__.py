"""The `mc-sidecar` command, also as `python -m sidecar`."""

from sidecar.runtime.signals import hold, release


def main() -> int:
    """Run the command and return its exit code; a signal waits until the command can handle it."""
    hold()
    try:
        from sidecar.cli import main as run  # noqa: PLC0415 - takes long enough for a signal to come

        return run()
    finally:
        release()


if __name__ == "__main__":
    raise SystemExit(main())
