"""Whether what came of a mint that took a free place in another one's call is worth publishing."""

from sidecar.cache.cache import Entry
from sidecar.errors import NotAskedError
from sidecar.models import Mint
from sidecar.pricing.confidence import is_lower
from sidecar.pricing.result import Valuation
from sidecar.refresh.answers import Answers
from sidecar.refresh.context import RefreshContext


def asked_its_source(context: RefreshContext, answers: Answers, mint: Mint) -> bool:
    """Return whether the source behind a fresh value was asked too: a top-up changes no token's source."""
    entry = context.cache.get(mint)
    if entry is None or not _is_fresh(context, entry):
        return True
    return entry.cap.source in answers.by_source[mint] or entry.cap.source in answers.failures[mint]


def is_sure_enough(context: RefreshContext, answers: Answers, mint: Mint, result: Valuation) -> bool:
    """Return whether no other source would have to be asked first, and a fresh value loses no confidence."""
    is_decided = result.conclusive or result.jump
    if not is_decided and any(answers.may_top_up(source, mint) for source in context.sources):
        return False
    entry = context.cache.get(mint)
    if entry is None or result.cap is None or not _is_over_budget(answers, mint, entry.cap.source):
        return True
    return not (_is_fresh(context, entry) and is_lower(result.cap.confidence, entry.cap.confidence))


def _is_over_budget(answers: Answers, mint: Mint, source: str) -> bool:
    """Return whether a source lacked nothing but the budget to be asked."""
    failed = answers.failures[mint].get(source)
    return isinstance(failed, NotAskedError) and failed.reason == "budget"


def _is_fresh(context: RefreshContext, entry: Entry) -> bool:
    return context.clock.monotonic() - entry.received <= context.policy.fresh_seconds
