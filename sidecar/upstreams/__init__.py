"""Calling an upstream: the one HTTP client, and what limits it."""
