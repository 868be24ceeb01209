"""Benchmarks: mc-sidecar beside the bare framework, beside what people write today and beside caching proxies.

`python -m bench` runs them all on two cores: the server on one, the load and the simulated market on the other.
"""
