"""One refresh for a fleet: sidecars share what one of them refreshes, through Redis or Valkey."""
