"""A fleet's metrics, declared only where there is one."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PROPAGATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class FleetMetrics:
    """The collectors of one member."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"mc_sidecar_fleet_{name}", text, registry=registry)

        def counter(name: str, text: str) -> Counter:
            return Counter(f"mc_sidecar_fleet_{name}", text, registry=registry)

        self.connected = gauge("connected", "1 while the fleet's Redis serves and this sidecar leads or follows.")
        self.leader = gauge("leader", "1 while this sidecar leads the fleet.")
        self.members = gauge("members", "Sidecars in the fleet as last read from Redis, this one included.")
        self.members.set(1)
        self.fallbacks = counter("fallbacks", "Misses asked for here because the leader did not answer in time.")
        self.values_received = counter("values_received", "Values taken over from the fleet.")
        self.values_rejected = counter("values_rejected", "Records of the fleet that made no sense.")
        self.propagation = Histogram(
            "mc_sidecar_fleet_propagation_seconds",
            "From the leader's write to this memory.",
            buckets=PROPAGATION_BUCKETS,
            registry=registry,
        )
