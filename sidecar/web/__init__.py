"""The two listeners and the command's own requests: routes, checks, connections."""
