"""The tiers as they describe themselves over HTTP: their words in, roles and counts out. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Labels = Mapping[str, str]

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)", re.MULTILINE)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def series(text: str, name: str) -> Iterator[tuple[Labels, float]]:
    """The samples of one metric in Prometheus' text."""
    for found in _SAMPLE.finditer(text):
        if found["name"] == name:
            yield dict(_LABEL.findall(found["labels"] or "")), float(found["value"])


def postgres(said: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, int]]:
    """From what each Patroni says at /patroni, by node. A primary that was cut off may still believe in itself: the one
    on the highest timeline is it."""
    claims = [(int(says.get("timeline") or 0), node) for node, says in said.items() if _leads(says)]
    if not claims:
        return {}, {"postgres standbys": 0}
    timeline, primary = max(claims)
    streaming = sorted(
        str(peer["application_name"])
        for peer in said[primary].get("replication") or ()
        if peer.get("state") == "streaming"
    )
    # `replication` also lists what is no member, such as a base backup.
    standbys = [node for node in streaming if node in said]
    roles = {"postgres primary": primary, "postgres timeline": str(timeline)}
    if standbys:
        roles["postgres standbys"] = " ".join(standbys)
    return roles, {"postgres standbys": len(standbys)}


def _leads(says: Mapping[str, Any]) -> bool:
    return says.get("role") in ("primary", "master") and says.get("state") == "running"


def etcd(metrics: Mapping[str, str]) -> tuple[dict[str, str], dict[str, int]]:
    """From /metrics of each member that answers. A member that has lost the others still answers, without a leader."""
    leaders = [node for node, text in metrics.items() if _is(text, "etcd_server_is_leader")]
    following = [node for node, text in metrics.items() if _is(text, "etcd_server_has_leader")]
    return ({"etcd leader": leaders[0]} if len(leaders) == 1 else {}), {"etcd members": len(following)}


def _is(text: str, name: str) -> bool:
    return any(value == 1 for _, value in series(text, name))


def galera(nodes: Mapping[str, Mapping[str, str]]) -> tuple[dict[str, str], dict[str, int]]:
    """From the wsrep status of each node that answers."""
    joined = sorted(
        node
        for node, says in nodes.items()
        if says.get("wsrep_cluster_status") == "Primary" and says.get("wsrep_local_state_comment") == "Synced"
    )
    return ({"galera nodes": " ".join(joined)} if joined else {}), {"galera nodes": len(joined)}


def rabbitmq(metrics: Mapping[str, str], queue: str) -> tuple[dict[str, str], dict[str, int], dict[str, int]]:
    """Roles, counts, and messages by queue, from the metrics of each node that answers. Only a queue's leader tells how
    many messages it has."""
    leaders: dict[str, str] = {}
    queued: dict[str, int] = {}
    for node, text in metrics.items():
        for labels, value in series(text, "rabbitmq_detailed_queue_messages"):
            leaders[labels["queue"]] = node
            queued[labels["queue"]] = int(value)
    members = sum(
        any(labels.get("queue") == queue for labels, _ in series(text, "rabbitmq_detailed_raft_term_total"))
        for text in metrics.values()
    )
    roles = {"rabbitmq leader": leaders[queue]} if queue in leaders else {}
    return roles, {"rabbitmq nodes": len(metrics), "rabbitmq queue members": members}, queued


def relays(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """From the leases: whose relay sends a stream."""
    return {f"relay of {name.removeprefix('relay:')}": owner for name, owner in rows}
