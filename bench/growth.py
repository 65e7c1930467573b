"""What must not grow: the cost of a thing with how much there is of it."""

from bench import growth_backlog, growth_finished, growth_seats

GOALS = (*growth_backlog.GOALS, *growth_seats.GOALS, *growth_finished.GOALS)
