"""What every part of the time line is drawn on: one width, one scale of seconds."""

from dataclasses import dataclass

from drills.report_html.markup import Markup, tag
from drills.report_html.scales import Linear
from drills.verdict import Timeline

WIDTH = 1000
LEFT, RIGHT = 56, 16
CHAR = 6.1  # width of a letter, near enough to keep labels apart
BOLD_CHAR = 6.7


@dataclass(frozen=True)
class Panel:
    """From ``top`` to ``bottom``; the title stands above it."""

    title: str
    top: float
    height: float

    @property
    def bottom(self) -> float:
        return self.top + self.height


def end_of(line: Timeline) -> float:
    """The last second that is drawn."""
    ends = [line.load_ended_s, line.drained_s or 0.0, *(fault.healed_s for fault in line.faults)]
    return max([1.0, *ends, *(float(second.at_s + 1) for second in line.seconds)])


def span(kind: str, began_s: float, ended_s: float, x: Linear, top: float, height: float) -> Markup:
    """At least as wide as can be seen: many faults last no time."""
    return tag("rect", class_=kind, x=x(began_s), y=top, width=max(2.0, x(ended_s) - x(began_s)), height=height)
