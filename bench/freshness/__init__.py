"""How far off what is served is, over a simulated hour: the sidecar's own engine against a market that is known."""
