"""The rows above the panels: faults as bars, leader changes as diamonds, each with its name."""

from collections.abc import Sequence

from drills.history import Fault
from drills.measures import LeaderChange
from drills.report_html.canvas import CHAR, WIDTH, span
from drills.report_html.markup import Markup, join, tag
from drills.report_html.scales import Linear, lanes
from drills.verdict import Timeline

LANE = 20  # height of a row


def marks(line: Timeline, x: Linear) -> tuple[Markup, float]:
    """And the height of them all."""
    faults = sorted(line.faults, key=lambda fault: fault.began_s)
    bars, height = _labelled([(_fault(fault), fault.began_s, fault.healed_s) for fault in faults], x, 4, "fault")
    changes = [(_change(change), change.at_s, change.at_s) for change in line.leader_changes]
    diamonds, height = _labelled(changes, x, height + (4 if faults else 0), "leader")
    return join([bars, diamonds]), height


def _fault(fault: Fault) -> str:
    return f"{fault.name} {fault.target}".strip()


def _change(change: LeaderChange) -> str:
    return f"{change.role}: {change.after}"


def _labelled(items: Sequence[tuple[str, float, float]], x: Linear, top: float, kind: str) -> tuple[Markup, float]:
    """Each with its text to the right, or to the left where it would leave the chart; in as many rows as it takes."""
    spans = []
    for text, began_s, ended_s in items:
        width = len(text) * CHAR + 12
        leftwards = x(ended_s) + width > WIDTH
        spans.append((x(began_s) - (width if leftwards else 4), x(ended_s) + (4 if leftwards else width)))
    rows = lanes(spans)
    drawn = []
    for (text, began_s, ended_s), (left, _), row in zip(items, spans, rows, strict=True):
        y = top + row * LANE
        leftwards = left < x(began_s) - 4
        place = x(began_s) - 7 if leftwards else x(ended_s) + 7
        anchor = "end" if leftwards else None
        mark = _bar(began_s, ended_s, x, y) if kind == "fault" else _diamond(x(began_s), y + LANE / 2)
        label = tag("text", text, class_=f"{kind}-text", x=place, y=y + LANE / 2 + 4, text_anchor=anchor)
        drawn += [mark, label]
    return join(drawn), top + (max(rows) + 1) * LANE if rows else top


def _bar(began_s: float, ended_s: float, x: Linear, y: float) -> Markup:
    return span("fault", began_s, ended_s, x, y + 5, LANE - 10)


def _diamond(x: float, y: float) -> Markup:
    return tag("path", class_="leader", d=f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z")
