"""replicas: nodes of Galera can differ without knowing it."""

from drills.checkers import replicas
from tests.unit.drills.story import good_story


def test_nodes_that_have_the_same_rows_are_good() -> None:
    assert replicas.check(good_story().history()).ok


def test_nodes_that_differ_are_told() -> None:
    story = good_story()
    story.otherwise["replicas"] = ("orders differs: mariadb1: 12 rows, 0badcafe; mariadb2: 11 rows, 0badcaff",)

    found = replicas.check(story.history())

    assert (found.ok, found.problems) == (
        False,
        ("orders differs: mariadb1: 12 rows, 0badcafe; mariadb2: 11 rows, 0badcaff",),
    )
