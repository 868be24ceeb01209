"""A simulated market that speaks the upstreams' wire formats: first contact without network or keys, and tests."""

from sidecar.demo.faults import Fault
from sidecar.demo.limits import REAL_LIMITS, RateLimit
from sidecar.demo.market import Market
from sidecar.demo.server import base_urls, create_app, serve
from sidecar.demo.tokens import SOURCES, Source, Token

__all__ = [
    "REAL_LIMITS",
    "SOURCES",
    "Fault",
    "Market",
    "RateLimit",
    "Source",
    "Token",
    "base_urls",
    "create_app",
    "serve",
]
