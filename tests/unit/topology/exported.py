"""Every metric there is: ours, from the code that registers them; the servers', from what they were seen to export."""

import importlib
import pkgutil
from collections.abc import Mapping

from prometheus_client import REGISTRY

Metrics = Mapping[str, frozenset[str]]  # name: labels

PACKAGES = ("ticketflow", "reservation", "billing", "bridge", "portal", "sandbox", "audit")
OF_THE_TARGET = frozenset({"job", "instance"})  # Prometheus adds them to everything

# Read at /metrics of the servers of docker-compose.yml, on 21 November 2026, unless it says otherwise. Only what rules
# and dashboards use.
SERVERS: Mapping[str, Mapping[str, str]] = {
    "Patroni 4.1 (patroni/api.py, do_GET_metrics)": dict.fromkeys(
        (
            "patroni_failsafe_mode_is_active",
            "patroni_is_paused",
            "patroni_postgres_streaming",
            "patroni_postgres_timeline",
            "patroni_primary",
            "patroni_replica",
            "patroni_xlog_location",
            "patroni_xlog_replayed_location",
        ),
        "scope name",
    ),
    "etcd 3.4": {
        "etcd_disk_wal_fsync_duration_seconds_bucket": "le",
        "etcd_server_has_leader": "",
        "etcd_server_is_leader": "",
        "etcd_server_leader_changes_seen_total": "",
    },
    "HAProxy 2.6 (promex)": {
        "haproxy_backend_current_sessions": "proxy",
        "haproxy_backend_status": "proxy state",
        "haproxy_server_current_sessions": "proxy server",
        "haproxy_server_status": "proxy server state",
    },
    # Not seen running: from lib/MySQL_HostGroups_Manager.cpp of sysown/proxysql.
    "ProxySQL 2.7": {
        "proxysql_connpool_conns": "endpoint hostgroup status",
        "proxysql_connpool_conns_status": "endpoint hostgroup",
    },
    "RabbitMQ 3.10 (rabbitmq_prometheus, an object a line)": {
        "rabbitmq_alarms_free_disk_space_watermark": "",
        "rabbitmq_alarms_memory_used_watermark": "",
        "rabbitmq_process_resident_memory_bytes": "",
        "rabbitmq_queue_consumers": "vhost queue",
        "rabbitmq_queue_messages": "vhost queue",
        "rabbitmq_raft_term_total": "vhost queue",
        "rabbitmq_resident_memory_limit_bytes": "",
    },
    "Prometheus itself": {"up": "", "ALERTS": "alertname alertstate severity"},
}


def ours() -> dict[str, frozenset[str]]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    found: dict[str, frozenset[str]] = {}
    for collector, names in list(REGISTRY._collector_to_names.items()):
        labels = frozenset(getattr(collector, "_labelnames", ()))
        for name in names:
            found[name] = labels | {"le"} if name.endswith("_bucket") else labels
    return found


def servers() -> dict[str, frozenset[str]]:
    return {name: frozenset(labels.split()) for metrics in SERVERS.values() for name, labels in metrics.items()}
