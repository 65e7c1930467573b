"""What the auditor is asked at the end, and what RabbitMQ says late."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from drills import audit as audit_module
from drills.audit import Audit
from drills.cluster import Cluster
from drills.history import Stores
from drills.observation import Observation


class Asked:
    """A cluster whose auditor knows of nothing."""

    async def exec(self, *_command: str, **_options: float) -> str:
        return msgspec.json.encode(Stores(1.0, (), (), (), (), (), (), (), ())).decode()


def an_audit(monkeypatch: pytest.MonkeyPatch, *, late_s: float) -> Audit:
    monkeypatch.setattr(audit_module, "QUEUES_LATE_S", late_s)
    monkeypatch.setattr(audit_module, "LOOK_AGAIN_S", 0.001)
    audit = Audit(cast(Cluster, cast(Any, Asked())))
    audit.observations = [Observation(1.0, queued={"portal.sales": 2})]
    return audit


async def test_a_count_of_some_seconds_ago_is_not_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = an_audit(monkeypatch, late_s=30)
    asking = asyncio.create_task(audit.final("event", 0.0))
    await asyncio.sleep(0)
    audit.observations.append(Observation(2.0, queued={"portal.sales": 0}))
    assert (await asking).queued == {"portal.sales": 0}


async def test_what_still_waits_after_that_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = an_audit(monkeypatch, late_s=0.01)
    assert (await audit.final("event", 0.0)).queued == {"portal.sales": 2}
