"""Which mints are wanted, and how they are refreshed."""
