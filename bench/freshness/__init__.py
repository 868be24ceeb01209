"""How far off what is served is, over a simulated hour: the engine itself against a market that is known."""
