"""`mc-sidecar top`: a running sidecar, seen from a terminal."""
