"""The tables of metrics in docs/operations.md: what the code has, and nothing else, and alerts that look at it."""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.metrics import MetricWrapperBase

from tests.unit.topology.promql import names_in

ROOT = Path(__file__).parents[3]
MODULES = ("ticketflow.delivery.metrics", "ticketflow.feed.metrics", "bridge.metrics", "portal.metrics")
PACKAGES = ("billing", "audit")  # all that their modules have
FROM_ELSEWHERE = {"store_faults_total": {"pool", "kind"}}  # of a package whose other metrics are not about the ring
PARTS = ("_bucket", "_count", "_sum")


class Line(NamedTuple):
    labels: frozenset[str]
    alerts: frozenset[str]


def table() -> dict[str, Line]:
    text = (ROOT / "docs" / "operations.md").read_text()
    sections = re.findall(r"^## Metrics of [a-z ]+\n(?:.+?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    found: dict[str, Line] = {}
    for row in re.findall(r"^\| `.+\|$", "\n".join(sections), re.MULTILINE):
        names, labels, _says, alerts = (cell.strip() for cell in row.strip("|").split("|"))
        for name in re.findall(r"`(\w+)`", names):
            assert name not in found, f"{name} stands there twice"
            own = frozenset(label.strip() for label in labels.split(",") if label.strip())
            found[name] = Line(own, frozenset(re.findall(r"`([A-Z]\w+)`", alerts)))
    return found


def modules_of(packages: tuple[str, ...]) -> list[str]:
    folders = [str(ROOT / package) for package in packages]
    return [
        found.name
        for package, folder in zip(packages, folders, strict=True)
        for found in pkgutil.walk_packages([folder], f"{package}.")
        if not found.name.endswith("__main__")
    ]


def registered() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for module in map(importlib.import_module, (*MODULES, *modules_of(PACKAGES))):
        for value in vars(module).values():
            if isinstance(value, MetricWrapperBase):
                name = value._name + ("_total" if value._type == "counter" else "")
                found[name] = frozenset(value._labelnames)
    return found | {name: frozenset(labels) for name, labels in FROM_ELSEWHERE.items()}


def rules() -> list[dict[str, Any]]:
    files = sorted((ROOT / "monitoring" / "rules").glob("*.yml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def looked_at() -> dict[str, set[str]]:
    """Alert -> the metrics it looks at, through recorded series too."""
    recorded = {
        rule["record"]: {selector.metric for selector in names_in(rule["expr"]).selectors}
        for rule in rules()
        if "record" in rule
    }
    found: dict[str, set[str]] = {}
    for rule in rules():
        if "alert" in rule:
            metrics = {selector.metric for selector in names_in(rule["expr"]).selectors}
            metrics |= {deeper for metric in metrics for deeper in recorded.get(metric, ())}
            found[rule["alert"]] = {re.sub(f"({'|'.join(PARTS)})$", "", metric) for metric in metrics}
    return found


TABLE = table()
ALERTS = looked_at()


def test_every_metric_stands_in_a_table_with_its_labels() -> None:
    assert {name: line.labels for name, line in TABLE.items()} == registered()


@pytest.mark.parametrize("metric", TABLE)
def test_the_alerts_of_a_metric_exist(metric: str) -> None:
    assert TABLE[metric].alerts - ALERTS.keys() == set()


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_stands_beside_every_metric_that_it_looks_at(alert: str) -> None:
    silent = {metric for metric in ALERTS[alert] & TABLE.keys() if alert not in TABLE[metric].alerts}
    # RepeatsMany only leaves out what a rewind brought; its own number is that of the repeats.
    assert silent - ({"delivery_rewinds_total"} if alert == "RepeatsMany" else set()) == set()
