"""Metrics: thin over prometheus_client. Each name is registered once a process, however often it is asked for."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics import MetricWrapperBase

CONTENT_TYPE = CONTENT_TYPE_LATEST
# From 1 ms, below what a request through a store takes, to the request time-out.
SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

M = TypeVar("M", bound=MetricWrapperBase)

_made: dict[tuple[CollectorRegistry, str], MetricWrapperBase] = {}


def counter(name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
    """A counter; its name ends in _total."""
    return _once(Counter, name, lambda: Counter(name, help_text, labels))


def gauge(name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
    return _once(Gauge, name, lambda: Gauge(name, help_text, labels))


def histogram(
    name: str, help_text: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = SECONDS_BUCKETS
) -> Histogram:
    """A histogram; seconds unless the name says otherwise."""
    return _once(Histogram, name, lambda: Histogram(name, help_text, labels, buckets=tuple(buckets)))


def exposition() -> bytes:
    """All metrics of the process in Prometheus' text format."""
    return generate_latest(REGISTRY)


def _once(kind: type[M], name: str, make: Callable[[], M]) -> M:
    metric = _made.setdefault((REGISTRY, name), None) or make()  # type: ignore[arg-type]
    _made[REGISTRY, name] = metric
    if not isinstance(metric, kind):
        raise TypeError(f"metric {name} is a {type(metric).__name__}, not a {kind.__name__}")
    return metric
