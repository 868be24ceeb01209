"""What is in memory, on disk: so that a restart is warm."""
