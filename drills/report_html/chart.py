"""The time line of a drill: panels one above the other over the same seconds, faults shaded through all of them."""

from collections.abc import Iterable, Iterator

from drills.measures import Figures, LeaderChange
from drills.report_html.canvas import LEFT, RIGHT, WIDTH, Panel, end_of, span
from drills.report_html.figures import at
from drills.report_html.marks import marks
from drills.report_html.markup import Markup, join, tag
from drills.report_html.panels import backlog, errors, latency, throughput
from drills.report_html.scales import Linear, time_ticks
from drills.verdict import Timeline

PANELS = (
    ("Holds acknowledged a second", 120),
    ("Time to a hold: median and p99, retries included", 110),
    ("Errors that buyers saw, a second", 44),
    ("Events that wait, by stream", 84),
)
BETWEEN = 34  # panels, for the title of the next


def chart(line: Timeline, figures: Figures) -> Markup:
    x = Linear(0, end_of(line), LEFT, WIDTH - RIGHT)
    rows, rows_height = marks(line, x)
    panels = _panels(rows_height + 26)
    top, bottom = panels[0].top, panels[-1].bottom
    return tag(
        "svg",
        [span("shade", fault.began_s, fault.healed_s, x, top, bottom - top) for fault in line.faults],
        [_frame(panel) for panel in panels],
        throughput(panels[0], line.seconds, x, figures, line),
        latency(panels[1], line.seconds, x),
        errors(panels[2], line.seconds, x),
        backlog(panels[3], line, x),
        _changes(line.leader_changes, x, top, bottom),
        rows,
        _axis(line, x, top, bottom),
        tag("line", class_="cursor", x1=-9, x2=-9, y1=top, y2=bottom),
        viewBox=f"0 0 {WIDTH} {int(bottom + 46)}",
        role="img",
        aria_label="Time line of the drill",
        data_left=LEFT,
        data_right=WIDTH - RIGHT,
        data_end=round(end_of(line), 3),
    )


def _panels(top: float) -> list[Panel]:
    panels = []
    for title, height in PANELS:
        panels.append(Panel(title, top, height))
        top += height + BETWEEN
    return panels


def _frame(panel: Panel) -> Markup:
    return join(
        [
            tag("text", panel.title, class_="title", x=LEFT, y=panel.top - 8),
            tag("line", class_="base", x1=LEFT, x2=WIDTH - RIGHT, y1=panel.bottom, y2=panel.bottom),
        ]
    )


def _changes(changes: Iterable[LeaderChange], x: Linear, top: float, bottom: float) -> Iterator[Markup]:
    for change in changes:
        yield tag("line", class_="change", x1=x(change.at_s), x2=x(change.at_s), y1=top, y2=bottom)


def _axis(line: Timeline, x: Linear, top: float, bottom: float) -> Iterator[Markup]:
    for second in time_ticks(end_of(line)):
        yield tag("line", class_="grid", x1=x(second), x2=x(second), y1=bottom, y2=bottom + 5)
        yield tag(
            "text", at(second).removesuffix(".0"), class_="tick", x=x(second), y=bottom + 18, text_anchor="middle"
        )
    moments = [("load ends", line.load_ended_s), ("drained", line.drained_s)]
    known = [(text, moment) for text, moment in moments if moment is not None]
    for row, (text, moment) in enumerate(known):
        close = row > 0 and x(moment) - x(known[0][1]) < 70
        yield tag("line", class_="moment", x1=x(moment), x2=x(moment), y1=top, y2=bottom + 24)
        anchor = "start" if close and x(moment) < WIDTH - 70 else "end" if x(moment) > WIDTH - 50 or not close else None
        shift = 12 if close and anchor == "end" else 0
        yield tag("text", text, class_="moment-text", x=x(moment), y=bottom + 34 + shift, text_anchor=anchor)
