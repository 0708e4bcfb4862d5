"""Numbers of the server in Prometheus's text format."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jaxsd.server.compiles import compiles
from jaxsd.server.service import Service


class _Numbers(Collector):
    def __init__(self, service: Service) -> None:
        self.service, self.compiles = service, compiles()

    def collect(self) -> Iterator[Metric]:
        """All numbers, now."""
        counts, engine = dict(self.service.counts), self.service.engine
        yield CounterMetricFamily(
            "jaxsd_pictures_accepted", "pictures that were taken", counts.pop("accepted")
        )
        ended = CounterMetricFamily("jaxsd_pictures", "pictures that are over", labels=["state"])
        for state, count in counts.items():
            ended.add_metric([state], count)
        yield ended
        yield CounterMetricFamily("jaxsd_network_calls", "calls of the U-Net", engine.calls)
        yield CounterMetricFamily(
            "jaxsd_compilations", "programs that were compiled", self.compiles.count
        )
        yield CounterMetricFamily(
            "jaxsd_model_loads", "models that were loaded", self.service.shelf.loads
        )
        yield GaugeMetricFamily(
            "jaxsd_pictures_waiting", "pictures without a place", engine.waiting
        )
        yield GaugeMetricFamily("jaxsd_pictures_drawing", "pictures with a place", engine.drawing)


def exposed(service: Service) -> tuple[bytes, int, dict[str, str]]:
    """The text, its status and its headers."""
    registry = CollectorRegistry()
    registry.register(_Numbers(service))
    return generate_latest(registry), 200, {"Content-Type": CONTENT_TYPE_LATEST}
