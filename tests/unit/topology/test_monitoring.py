"""Rules and dashboards name metrics that exist, with labels that they have; alerts are tested and lead somewhere."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]

from tests.unit.topology import exported
from tests.unit.topology.promql import Named, Selector, names_in

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "monitoring"
RULE_FILES = sorted((FOLDER / "rules").glob("*.yml"))
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


class Expression(NamedTuple):
    where: str
    text: str


def rules() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in RULE_FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                yield file.name, rule


def alerts() -> list[dict[str, Any]]:
    return [rule for _, rule in rules() if "alert" in rule]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            yield file.name, panel


def in_rules() -> list[Expression]:
    return [Expression(f"{file}: {rule.get('alert') or rule['record']}", rule["expr"]) for file, rule in rules()]


def in_dashboards() -> list[Expression]:
    found = [
        Expression(f"{file}: {panel['title']}", target["expr"].replace("$__rate_interval", "1m"))
        for file, panel in panels()
        for target in panel.get("targets", ())
    ]
    for file in DASHBOARDS:
        for annotation in json.loads(file.read_text())["annotations"]["list"]:
            found.append(Expression(f"{file}: annotation {annotation['name']}", annotation["expr"]))
    return found


EXPRESSIONS = [*in_rules(), *in_dashboards()]
RECORDED = {rule["record"]: names_in(rule["expr"]).groups for _, rule in rules() if "record" in rule}
JOBS = {
    config["job_name"]: config for config in yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
}


@pytest.fixture(scope="module")
def metrics() -> exported.Metrics:
    return {**exported.servers(), **exported.ours(), **RECORDED}


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.where)
def test_an_expression_names_what_exists(expression: Expression, metrics: exported.Metrics) -> None:
    named = names_in(expression.text)

    assert named.selectors, "it looks at nothing"
    for metric, labels in named.selectors:
        assert metric in metrics, f"nobody exports {metric}"
        unknown = {label for label, _ in labels} - metrics[metric] - exported.OF_THE_TARGET
        assert not unknown, f"{metric} has no label {unknown}; it has {sorted(metrics[metric])}"
        for job in (value for label, value in labels if label == "job"):
            assert any(re.fullmatch(job, name) for name in JOBS), f"nobody is job {job}"
    known = exported.OF_THE_TARGET.union(*(metrics[selector.metric] for selector in named.selectors))
    assert named.groups <= known, f"it groups by {named.groups - known}, which nothing in it has"


def test_routes_that_are_asked_for_are_routes(metrics: exported.Metrics) -> None:
    described = json.dumps([re.findall(r'"(/[a-z0-9_/{}]*)"', file.read_text()) for file in ROOT.glob("*/**/*api*.py")])
    own = ("/healthz", "/readyz", "/metrics")
    asked = {
        value
        for expression in EXPRESSIONS
        for selector in names_in(expression.text).selectors
        for label, value in selector.labels
        if label == "route" and re.fullmatch(r"[a-z0-9_/{}]+", value)
    }

    assert {route for route in asked if route not in own and f'"{route}"' not in described} == set()


def test_what_the_scanner_makes_of_promql() -> None:
    text = 'max by (job) (rate(a_total{x="1", y=~"b{2}|c"}[5m])) / on (job) group_left () b offset 5m > 1e3 # c'

    assert names_in(text) == Named(
        (Selector("a_total", (("x", "1"), ("y", "b{2}|c"))), Selector("b", ())), frozenset({"job"})
    )


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_it_means_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "meaning", "runbook"}
    page, anchor = alert["annotations"]["runbook"].split("#")
    sections = re.split(r"^## ", (ROOT / page).read_text(), flags=re.MULTILINE)
    [section] = [text for text in sections if text.splitlines()[0].lower().replace(" ", "-") == anchor]
    assert f"`{alert['alert']}`" in section, "the section does not know the alert"


def test_every_alert_fires_in_a_test_of_its_own_file() -> None:
    fired = {
        case["alertname"]
        for file in RULE_FILES
        for test in yaml.safe_load((FOLDER / "rules_tests" / file.name).read_text())["tests"]
        for case in test.get("alert_rule_test", ())
        if case.get("exp_alerts")
    }

    assert {alert["alert"] for alert in alerts()} - fired == set()


def test_everybody_in_compose_who_has_metrics_is_scraped_under_his_name() -> None:
    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])
    targets = {
        host
        for config in JOBS.values()
        for target in config["static_configs"][0]["targets"]
        for host in [target.split(":")[0]]
    }
    # nginx and MariaDB have none, the doors speak for MariaDB; the jobs end; the auditor is of the drills.
    silent = re.compile(r"nginx|mariadb\d|migrate-.*|credentials|auditor|grafana|.*nemesis")

    assert targets - services - {"prometheus"} == set()
    assert {service for service in services if not silent.fullmatch(service)} - targets == set()


def test_panels_have_names_and_do_not_lie_on_each_other() -> None:
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            assert panel["title"]
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert at["x"] + at["w"] <= 24, panel["title"]
            assert not cells & taken, panel["title"]
            taken |= cells
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        assert (board["uid"], board["editable"]) == (file.stem, False)


def run(*command: str | Path) -> None:
    done = subprocess.run(["promtool", *map(str, command)], cwd=FOLDER, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_prometheus_takes_the_configuration() -> None:
    run("check", "config", "prometheus.yml")


@promtool
def test_the_rules_do_what_their_tests_say() -> None:
    run("test", "rules", *sorted((FOLDER / "rules_tests").glob("*.yml")))


@promtool
def test_prometheus_takes_the_dashboards_expressions(tmp_path: Path) -> None:
    as_rules = [{"record": f"panel{number}", "expr": each.text} for number, each in enumerate(in_dashboards())]
    file = tmp_path / "dashboards.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": as_rules}]}))

    run("check", "rules", file)
