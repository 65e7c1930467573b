"""replicas: at the end every node of Galera has the same rows. (Postgres' standbys replay the primary's log.)"""

from drills.checkers.finding import Finding, finding
from drills.history import History

NAME = "replicas"


def check(history: History) -> Finding:
    return finding(NAME, history.replicas, "every node of Galera has the same rows")
