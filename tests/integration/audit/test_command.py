"""`python -m audit` as people and programs run it: a process of its own."""

from tests.integration.audit.town import Databases, Town
from tests.support.commands import Said, module
from tests.support.ports import free_port
from ticketflow.events import new_id


async def audit(databases: Databases, *arguments: str, **others: str) -> Said:
    return await module("audit", databases.environment() | others, *arguments)


async def test_a_sound_event_is_told_in_lines_and_the_code_is_0(town: Town, databases: Databases) -> None:
    await town.sold(2)
    said = await audit(databases, "--event", town.event.event_id)
    lines = said.out.splitlines()
    assert (said.code, said.err, lines[-1]) == (0, "", "seats = orders = ledger = provider = portal")
    assert f"event {town.event.event_id}" in lines
    assert (
        "  money     captured 50.00 EUR, refunded 0.00 EUR, good tickets 50.00 EUR, owed 0.00 EUR, kept 0.00 EUR,"
        in said.out
    )
    assert "            captured - refunded = good tickets + owed + kept: yes" in lines
    assert "  provider  captured 50.00 EUR, refunded 0.00 EUR of 1 payments asked about" in lines


async def test_differences_are_named_and_the_code_is_1(town: Town, databases: Databases) -> None:
    order_id = await town.sold(1)
    await town.show("UPDATE sales SET state = 'PAYING' WHERE order_id = $1", order_id)
    said = await audit(databases, "--event", town.event.event_id)
    assert (said.code, said.out.splitlines()[-1]) == (1, "1 difference")
    assert f"portal_state_differs: order {order_id}: CONFIRMED at billing, PAYING at the portal" in said.out
    told = await audit(databases, "--event", town.event.event_id, "--repair", "portal_state_differs")
    assert (told.code, "would be done with --yes: billing stages the order's facts again" in told.out) == (1, True)
    assert await town.staged("billing") == []
    done = await audit(
        databases, "--event", town.event.event_id, "--repair", "--yes", "--actor", "ann", "--json", "--provider", "none"
    )
    (one,) = done.json["reconciliation"]["differences"]
    assert (done.code, one["became"]) == (1, "done")
    rows = await town.rows("SELECT subject FROM delivery_audit WHERE actor = 'ann' AND action LIKE 'audit.%%'")
    assert rows == [{"subject": f"order {order_id}"}]
    await town.carry()
    assert (await audit(databases, "--event", town.event.event_id)).code == 0


async def test_the_shape_for_programs(town: Town, databases: Databases) -> None:
    order_id = await town.hold(1)
    await town.change("UPDATE order_lines SET price_minor = price_minor + 1 WHERE order_id = %s", order_id)
    said = await audit(databases, "--event", town.event.event_id, "--json")
    found = said.json["reconciliation"]
    assert said.code == 1
    assert list(said.json) == ["reconciliation"]  # the streams belong to no event
    assert list(found) == ["clean", "away", "sales", "asked", "seconds", "counts", "more", "events", "differences"]
    assert (found["clean"], found["away"], found["sales"], found["more"]) == (False, [], 1, 0)
    assert found["counts"] == {"lines_differ": 1}
    assert [event["event_id"] for event in found["events"]] == [town.event.event_id]
    (one,) = found["differences"]
    assert list(one["ids"]) == ["unit"]
    assert {name: one[name] for name in ("kind", "event_id", "order_id", "by", "became", "said")} == {
        "kind": "lines_differ",
        "event_id": town.event.event_id,
        "order_id": order_id,
        "by": "person",
        "became": None,
        "said": None,
    }
    everything = await audit(databases, "--json", "--provider", "none")
    assert {"unresolved", "parted", "stores", "reconciliation"} == set(everything.json)
    assert list((await audit(databases, "--json", "--only", "streams")).json) == ["unresolved", "parted", "stores"]


async def test_a_store_or_a_provider_that_is_away_is_said_and_the_code_is_2(town: Town, databases: Databases) -> None:
    await town.sold(1)
    nowhere = f"127.0.0.1:{free_port()}"
    for name, value, who in (
        ("AUDIT_PORTAL_DSN", f"postgresql://x:x@{nowhere}/x", "could not be looked at: Unavailable"),
        ("AUDIT_BILLING_HOSTS", nowhere, "could not be looked at: Unavailable"),
        ("AUDIT_PROVIDER_URL", f"http://{nowhere}", "could not be looked at: the provider: "),
    ):
        said = await audit(databases, "--event", town.event.event_id, **{name: value})
        assert (said.code, who in said.out) == (2, True), said


async def test_an_account_that_may_only_read_is_told_so(town: Town, databases: Databases) -> None:
    order_id = await town.sold(1)
    await town.show("UPDATE sales SET state = 'PAYING' WHERE order_id = $1", order_id)
    reader = "r" + new_id()[-12:]
    settings = databases.billing
    with town.admin() as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE USER '{reader}'@'127.0.0.1' IDENTIFIED BY 'x'")
        cursor.execute(f"GRANT SELECT ON `{settings.database_name}`.* TO '{reader}'@'127.0.0.1'")
    said = await audit(
        databases,
        "--event",
        town.event.event_id,
        "--repair",
        "--yes",
        AUDIT_BILLING_USER=reader,
        AUDIT_BILLING_PASSWORD="x",
    )
    assert (said.code, "not done: this account may only read" in said.out) == (1, True), said


async def test_what_cannot_be_meant_is_usage(databases: Databases) -> None:
    for arguments in (["--event", "7"], ["--yes"], ["--repair", "nonsense"], ["--only", "money", "--provider", "x"]):
        said = await audit(databases, *arguments)
        assert (said.code, said.out) == (2, ""), arguments
    assert (await module("audit", {"AUDIT_PORTAL_DSN": "x"})).code == 2
