"""Whether Galera's nodes have the same rows, each asked by itself: they can differ without knowing it."""

from collections import defaultdict

from drills.auditor import queries
from drills.auditor.stores import Stores, mariadb
from ticketflow.runtime.errors import Indefinite, Unavailable


async def differences(stores: Stores) -> list[str]:
    """In words; empty when all nodes agree. Asked while nothing is written any more."""
    problems = []
    found: dict[str, dict[tuple[int, int], list[str]]] = defaultdict(lambda: defaultdict(list))
    for node, pool in stores.nodes.items():
        try:
            async with pool.acquire() as conn:
                for table, query in queries.SAME_ON_ALL_NODES.items():
                    rows, checksum = (await mariadb(conn, query))[0]
                    found[table][rows, checksum].append(node)
        except (Unavailable, Indefinite) as error:
            problems.append(f"{node} cannot be compared: {error}")
    for table, versions in found.items():
        if len(versions) > 1:
            said = "; ".join(
                f"{', '.join(nodes)}: {rows} rows, {checksum:08x}" for (rows, checksum), nodes in versions.items()
            )
            problems.append(f"{table} differs: {said}")
    return problems
