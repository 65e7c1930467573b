"""``python -m billing parked``: a sale stood still behind an event that had no order, and goes on."""

from billing.settings import DatabaseSettings
from tests.integration.billing.world import Sale, World
from tests.support.commands import parked
from ticketflow.events import HoldReleased, new_id


def environment(settings: DatabaseSettings) -> dict[str, str]:
    return {
        "BILLING_DATABASE_HOSTS": ",".join(map(str, settings.database_hosts)),
        "BILLING_DATABASE_NAME": settings.database_name,
        "BILLING_DATABASE_USER": settings.database_user,
        "BILLING_DATABASE_PASSWORD": str(settings.database_password),
    }


async def test_a_sale_that_stood_still_goes_on(world: World) -> None:
    settings = environment(world.settings)
    sale = Sale(world, new_id(), 2, 60)
    await world.feed(sale.event(HoldReleased(hold_id=sale.hold_id)), sale.event(sale.hold))
    listed = await parked("billing", settings, "list")
    assert listed.code == 0
    [_, line] = listed.out.splitlines()
    assert "poison" in line
    assert "there is no order" in line

    again = await parked("billing", settings, "requeue", sale.hold_id)
    assert (again.code, "1 wait behind" in again.out) == (1, True)
    [first] = (await parked("billing", settings, "list", "--json")).json["parked"]
    assert (first["attempts"], first["behind"]) == (2, 1)
    gone = await parked("billing", settings, "discard", first["id"], "--reason", "came before its hold.placed")
    assert (gone.code, "1 later events of its key still wait" in gone.out) == (0, True)

    rehearsed = await parked("billing", settings, "requeue", sale.hold_id, "--dry-run")
    assert (rehearsed.code, await world.staged(sale.hold_id)) == (0, [])
    done = await parked("billing", settings, "requeue", "--all-of", "behind")
    assert done.code == 0, done
    assert [payload.kind for payload in await world.staged(sale.hold_id)] == ["order.pending"]
    assert (await parked("billing", settings, "list")).out == "nothing is parked\n"
    audits = await world.rows("SELECT action, actor FROM delivery_audit ORDER BY id")
    assert [row["action"] for row in audits] == ["parked.requeue_failed", "parked.discard", "parked.requeue"]
    assert all(" @ " in row["actor"] for row in audits)


async def test_errors_are_one_line(billing_database: DatabaseSettings) -> None:
    settings = environment(billing_database)
    missing = await parked("billing", settings, "show", "12345")
    assert (missing.code, missing.err) == (1, "billing parked: nothing is parked under '12345'\n")
    usage = await parked("billing", settings, "requeue")
    assert (usage.code, usage.err.count("\n")) == (2, 1)
    away = await parked("billing", settings | {"BILLING_DATABASE_HOSTS": "127.0.0.1:1"}, "list")
    assert (away.code, "the database is away" in away.err) == (1, True)
    unset = await parked("billing", {}, "list")
    assert (unset.code, unset.err.count("\n")) == (2, 1)
