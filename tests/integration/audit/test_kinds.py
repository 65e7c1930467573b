"""Each kind of difference: found with its ids, told and not mended without --yes, then mended, and written down."""

import pytest

from audit.money.kinds import KINDS
from audit.money.repairs import REPAIRS
from audit.money.sides import Difference
from tests.integration.audit.plants import PLANTS, Plant, Planted
from tests.integration.audit.town import Town


def test_every_kind_is_planted_and_every_repair_by_program_is_there() -> None:
    assert set(PLANTS) == set(KINDS)
    assert set(REPAIRS) == {name for name, kind in KINDS.items() if kind.by == "program"}


async def told(town: Town, planted: Planted, plant: Plant) -> list[Difference]:
    """Of what was planted: other tests' plants may be found as well, where it belongs to no event."""
    found = await town.found(everywhere=plant.everywhere)
    if not plant.everywhere:
        return found
    mine = {id_ for ids in planted.ids.values() for id_ in ids} - {"EUR"}
    return [one for one in found if mine & {id_ for _, id_ in one.ids}]


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_found_named_and_mended(kind: str, town: Town) -> None:
    plant = PLANTS[kind]
    planted = await plant.sow(town)

    found = await told(town, planted, plant)
    assert {one.kind for one in found} - plant.also == {kind}
    (one,) = (one for one in found if one.kind == kind)
    assert one.order_id == planted.order_id
    assert {what: set(one.ids_of(what)) for what in planted.ids} == planted.ids
    assert one.event_id == (None if plant.everywhere else town.event.event_id)

    dry = [
        said
        for said in await town.repair(kind, really=False, everywhere=plant.everywhere)
        if said.difference.key == one.key
    ]
    assert [(said.became, said.said) for said in dry] == [
        ("would" if KINDS[kind].by == "program" else "person", KINDS[kind].repair)
    ]
    assert [await town.staged(store) for store in ("reservation", "billing", "portal")] == [[], [], []]
    assert [one.key for one in await told(town, planted, plant)] == [one.key for one in found]
    before = len(await town.audited(kind))

    done = [said for said in await town.repair(kind, everywhere=plant.everywhere) if said.difference.key == one.key]
    if KINDS[kind].by == "person":
        assert [said.became for said in done] == ["person"]
        assert len(await town.audited(kind)) == before
        return
    assert [said.became for said in done] == ["done"], done
    assert len(await town.audited(kind)) > before
    if plant.waits:
        return
    if planted.then is not None:
        await planted.then()
    await town.carry()
    assert await told(town, planted, plant) == []
