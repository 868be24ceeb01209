"""What a Prometheus scrapes, written out one metric family to a turn of the event loop."""

from collections.abc import Callable, Iterable

from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sidecar.runtime.aio import yielding
from sidecar.web.responses import SERVICE


class _Families(Collector):
    """A collector of what has been collected."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def get_metrics(request: web.Request) -> web.Response:
    """Answer in the format that is asked for, with all families or those of `name[]`, compressed where wanted."""
    service = request.app[SERVICE]
    encode, content_type = choose_encoder(",".join(request.headers.getall(hdrs.ACCEPT, ())))
    if names := request.query.getall("name[]", ()):
        body = await _written(service.registry.restricted_registry(names), encode)
    else:
        async with service.metrics.prepared():
            body = await _written(service.registry, encode)
    response = web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
    response.enable_compression()
    return response


async def _written(registry: Collector, encode: Callable[[Collector], bytes]) -> bytes:
    end = encode(_Families())
    parts = [encode(_Families(family)).removesuffix(end) async for family in yielding(registry.collect(), 1)]
    return b"".join((*parts, end))
