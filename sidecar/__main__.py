"""`python -m sidecar` is the `mc-sidecar` command."""

from sidecar.cli import main

raise SystemExit(main())
