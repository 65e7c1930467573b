"""The index of a run: every drill in a row."""

from collections.abc import Iterator, Sequence

from drills.limits import allowed_s
from drills.machine import Machine
from drills.report_html.canvas import end_of
from drills.report_html.figures import NOTHING, count, seconds, when
from drills.report_html.markup import Content, Markup, tag
from drills.report_html.page import file_name
from drills.report_html.pieces import badge, document, grade, rows
from drills.report_html.scales import Linear, usual_top
from drills.verdict import Judged, Timeline

SPARK = (150, 30)
HEAD = [
    ("drill", False),
    ("verdict", False),
    ("holds a second", False),
    ("gap in holds", True),
    ("errors", True),
    ("gap in orders", True),
    ("gap in tickets", True),
    ("drained", True),
    ("rewound", True),
]


def index(drills: Sequence[Judged], machine: Machine | None = None, *, title: str = "Drills") -> str:
    began = min((judged.started_at_s for judged in drills if judged.started_at_s), default=0.0)
    return document(
        title,
        tag("div", "TicketFlow", class_="over"),
        tag("h1", title),
        tag("p", when(began) if began else None, class_="over"),
        _verdict(drills),
        rows(HEAD, [_row(judged) for judged in drills]),
        _foot(machine),
    )


def _verdict(drills: Sequence[Judged]) -> Markup:
    unsafe = [judged for judged in drills if not judged.verdict.safe]
    missed = [judged for judged in drills if judged.verdict.safe and not judged.verdict.met]
    kept = len(drills) - len(unsafe) - len(missed)
    told = f"{kept} of {len(drills)} drills safe and within their limits"
    rest = [f"not safe: {judged.name}" for judged in unsafe] + [f"limit missed: {judged.name}" for judged in missed]
    kind = "bad" if unsafe else "warn" if missed else "good"
    return tag(
        "div",
        tag("strong", told),
        tag("ul", [tag("li", text) for text in rest]) if rest else None,
        class_=f"verdict {kind}",
    )


def _row(judged: Judged) -> Markup:
    verdict, figures, limits = judged.verdict, judged.figures, judged.limits
    failed = [name for name, ok in verdict.checks.items() if not ok]
    link = tag("a", judged.name, href=file_name(judged.name))
    cells: list[Markup] = []
    if figures is not None:
        over = limits.buyer_errors_max is not None and figures.buyer_errors > limits.buyer_errors_max
        cells = [
            _gap(figures.gap_s, figures.gap_steady_s, limits.gap_s_max),
            _cell(count(figures.buyer_errors), _limit(count, limits.buyer_errors_max), missed=over),
            _gap(figures.orders_gap_s, figures.orders_gap_steady_s, limits.orders_gap_s_max),
            _gap(figures.tickets_gap_s, figures.tickets_gap_steady_s, limits.tickets_gap_s_max),
            _cell(seconds(figures.drain_s), "", missed=figures.drain_s is None or figures.drain_s > limits.drain_s_max),
            _cell(count(figures.rewound), "", missed=False),
        ]
    return tag(
        "tr",
        tag("td", link, class_="name"),
        tag("td", badge({"good": "safe", "warn": "limit missed", "bad": "not safe"}[grade(verdict)], grade(verdict))),
        tag("td", spark(judged.timeline) if judged.timeline else None),
        cells or tag("td", judged.trouble, colspan=6),
        title=", ".join([*failed, *verdict.missed]) or None,
    )


def _gap(gap_s: float, steady_s: float, most_s: float | None) -> Markup:
    missed = most_s is not None and gap_s > allowed_s(most_s, steady_s)
    return _cell(
        seconds(gap_s), _limit(seconds, None if most_s is None else allowed_s(most_s, steady_s)), missed=missed
    )


def _limit(written: object, most: float | None) -> str:
    return "" if most is None or not callable(written) else f"max {written(most)}"


def _cell(value: str, limit: str, *, missed: bool) -> Markup:
    note = [tag("br"), tag("span", limit, class_="limit")] if limit else None
    return tag("td", value, note, class_="number missed" if missed else "number")


def spark(line: Timeline) -> Markup:
    """Holds a second, faults shaded."""
    width, height = SPARK
    top = usual_top([float(second.holds) for second in line.seconds])
    x, y = Linear(0, end_of(line), 0, width), Linear(0, top, height, 1)
    steps = "".join(f"V{y(min(second.holds, top)):.1f}H{x(second.at_s + 1):.1f}" for second in line.seconds)
    return tag(
        "svg",
        list(_shades(line, x, height)),
        tag("path", class_="holds", d=f"M0 {height}{steps}V{height}z") if steps else None,
        class_="spark",
        viewBox=f"0 0 {width} {height}",
    )


def _shades(line: Timeline, x: Linear, height: float) -> Iterator[Markup]:
    for fault in line.faults:
        width = max(1.5, x(fault.healed_s) - x(fault.began_s))
        yield tag("rect", class_="shade", x=x(fault.began_s), y=0, width=width, height=height)


def _foot(machine: Machine | None) -> Iterator[Content]:
    yield tag("footer", f"Ran on {machine}." if machine else NOTHING)
