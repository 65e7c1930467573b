"""What the panels of the time line show."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from drills.measures import Figures, Second
from drills.report_html.canvas import BOLD_CHAR, LEFT, RIGHT, WIDTH, Panel, span
from drills.report_html.figures import milliseconds, seconds
from drills.report_html.markup import Markup, join, tag
from drills.report_html.scales import Linear, logarithmic, top_of, usual_top
from drills.verdict import Timeline

GAP_SHOWN_S = 1.0  # a shorter gap is not to be seen at this size
STREAMS = ("reservation", "billing", "portal")  # each has its colour, whether or not the others are there


def _gridline(y: float, text: str) -> Iterator[Markup]:
    yield tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y)
    yield tag("text", text, class_="tick", x=LEFT - 6, y=y + 4, text_anchor="end")


def _upwards(panel: Panel, top: float) -> tuple[Linear, Markup]:
    """A scale from 0, with its grid."""
    y = Linear(0, top, panel.bottom, panel.top)
    steps = [top] if panel.height < 60 else [top / 2, top]
    return y, join([line for step in steps for line in _gridline(y(step), f"{step:g}")])


def throughput(panel: Panel, rows: Sequence[Second], x: Linear, figures: Figures, line: Timeline) -> Iterator[Markup]:
    top = usual_top([float(row.holds) for row in rows])
    y, grid = _upwards(panel, top)
    yield grid
    if rows:
        steps = "".join(f"V{y(min(row.holds, top)):.1f}H{x(row.at_s + 1):.1f}" for row in rows)
        yield tag("path", class_="holds", d=f"M{x(rows[0].at_s):.1f} {panel.bottom:.1f}{steps}V{panel.bottom:.1f}z")
    yield from _cut_off(rows, top, panel, x)
    if line.faults and figures.gap_s >= GAP_SHOWN_S:
        yield _gap(panel, figures, x)


def _cut_off(rows: Sequence[Second], top: float, panel: Panel, x: Linear) -> Iterator[Markup]:
    """The numbers of bars that are higher than the panel: of those side by side the highest, after the last."""
    highest = 0
    for row, following in zip_longest(rows, rows[1:]):
        if row.holds > top:
            highest = max(highest, row.holds)
        if highest and (following is None or following.holds < top):
            place = x(row.at_s + 1) + 4
            yield tag("text", f"\u2191 {highest}", class_="cut-off", x=place, y=panel.top + 12)
            highest = 0


def _gap(panel: Panel, figures: Figures, x: Linear) -> Markup:
    """A bracket above the usual bars, with its text inside, before or after it: where there is room."""
    left, right, y = x(figures.gap_began_s), x(figures.gap_began_s + figures.gap_s), panel.top + 30
    text = f"{seconds(figures.gap_s)} without a hold"
    width = len(text) * BOLD_CHAR + 10
    ends = f"M{left:.1f} {y - 5:.1f}v10M{left:.1f} {y:.1f}H{right:.1f}M{right:.1f} {y - 5:.1f}v10"
    place, anchor, above = right + 7, None, 4
    if right - left > width:
        place, anchor, above = (left + right) / 2, "middle", -7
    elif left - width > LEFT:
        place, anchor = left - 7, "end"
    label = tag("text", text, class_="gap-text", x=place, y=y + above, text_anchor=anchor)
    return join([tag("path", class_="gap", d=ends), label])


def latency(panel: Panel, rows: Sequence[Second], x: Linear) -> Iterator[Markup]:
    known = [value for row in rows for value in (row.p50_ms, row.p99_ms) if value is not None]
    y = logarithmic(known, panel.bottom, panel.top)
    for decade in y.decades:
        yield from _gridline(y(decade), milliseconds(decade).replace(".0", ""))
    for kind in ("p99", "p50"):
        points = [(row.at_s, row.p99_ms if kind == "p99" else row.p50_ms) for row in rows]
        yield tag("path", class_=kind, d=_broken_line([(x(s + 0.5), None if v is None else y(v)) for s, v in points]))


def _broken_line(points: Iterable[tuple[float, float | None]]) -> str:
    """A second without a value is a gap in the line; one between two gaps is a dot."""
    path, pen = [], "M"
    for x, y in points:
        if y is None:
            pen = "M"
            continue
        path.append(f"{pen}{x:.1f} {y:.1f}" + ("h.1" if pen == "M" else ""))
        pen = "L"
    return "".join(path)


def errors(panel: Panel, rows: Sequence[Second], x: Linear) -> Iterator[Markup]:
    if not any(row.errors for row in rows):
        yield tag("text", "none", class_="none", x=LEFT + 8, y=panel.bottom - 8)
        return
    y, grid = _upwards(panel, top_of([float(row.errors) for row in rows]))
    yield grid
    for row in rows:
        if row.errors:
            yield span("error", row.at_s, row.at_s + 1, x, y(row.errors), panel.bottom - y(row.errors))


def backlog(panel: Panel, line: Timeline, x: Linear) -> Iterator[Markup]:
    y, grid = _upwards(panel, top_of([float(events) for points in line.backlog.values() for _, events in points]))
    yield grid
    for index, stream in enumerate(line.backlog):
        number = STREAMS.index(stream) if stream in STREAMS else index
        path = "".join(f"{'L' if n else 'M'}{x(s):.1f} {y(v):.1f}" for n, (s, v) in enumerate(line.backlog[stream]))
        yield tag("path", class_=f"stream s{number % 3}", d=path)
