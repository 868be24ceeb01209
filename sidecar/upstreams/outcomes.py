"""What the outcome of a request means for its source: its circuit, its budget, its metrics and its log lines."""

import logging

from sidecar.errors import UpstreamError
from sidecar.metrics.metrics import Metrics
from sidecar.runtime.clock import Clock
from sidecar.upstreams.breaker import CircuitBreaker, State
from sidecar.upstreams.budget import Budget

log = logging.getLogger(__name__)


class Outcomes:
    """What has become of one source's requests."""

    def __init__(self, name: str, budget: Budget, clock: Clock, metrics: Metrics) -> None:
        self.breaker = CircuitBreaker(clock, self._circuit_changed)
        self.last_error: str | None = None
        """What was wrong with the newest answer, None when it was good."""
        self.last_success_unix: float | None = None
        self._name = name
        self._budget = budget
        self._clock = clock
        self._metrics = metrics

    def measure(self, outcome: str, started: float) -> None:
        """Count one request that began at this monotonic time."""
        self._metrics.upstream_requests.labels(self._name, outcome).inc()
        self._metrics.upstream_duration.labels(self._name).observe(self._clock.monotonic() - started)

    def failed(self, error: UpstreamError) -> None:
        """Take note of a failure; a refusal for the rate is none of the circuit."""
        if error.outcome == "rate_limited":
            self._budget.refused(error.retry_after)
            self.breaker.succeeded()
        else:
            self.breaker.failed()
        self._note(error.detail)

    def succeeded(self, unreadable: int) -> None:
        """Take note of an answer, of which this many rows could not be read."""
        self._budget.accepted()
        self.breaker.succeeded()
        self.last_success_unix = self._clock.time()
        self._note(f"{unreadable} rows of an unexpected shape" if unreadable else None)

    def broke(self, error: Exception) -> UpstreamError:
        """Take an unexpected exception for a failure; the first in a row is logged with its traceback."""
        problem = f"unexpected {type(error).__name__}"
        if self.last_error != problem:
            log.error("upstream broke", extra={"source": self._name, "problem": problem}, exc_info=error)
        self.last_error = problem
        return UpstreamError(self._name, "schema", problem)

    def _note(self, problem: str | None) -> None:
        """Log the edges only: the first failure and the recovery; what lies between is in the counters."""
        if problem is not None and self.last_error is None:
            log.warning("upstream failing: %s", self._name, extra={"source": self._name, "problem": problem})
        if problem is None and self.last_error is not None:
            log.info("upstream recovered: %s", self._name, extra={"source": self._name})
        self.last_error = problem

    def _circuit_changed(self, state: State) -> None:
        self._metrics.upstream_circuit_open.labels(self._name).set(state != "closed")
        log.warning("circuit %s: %s", state, self._name, extra={"source": self._name, "state": state})
