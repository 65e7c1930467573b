"""The page of one drill."""

import re
from collections.abc import Iterator

import msgspec

from drills.limits import allowed_s
from drills.machine import Machine
from drills.measures import Figures
from drills.report_html.chart import chart
from drills.report_html.figures import NOTHING, at, count, milliseconds, seconds, when
from drills.report_html.markup import Content, Markup, script_data, tag, trusted
from drills.report_html.panels import STREAMS
from drills.report_html.pieces import badge, bullets, document, grade, rows, said
from drills.report_html.script import SCRIPT
from drills.verdict import Judged, Timeline


def file_name(name: str) -> str:
    """Of a drill's page, in any file system."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") + ".html"


def page(judged: Judged, machine: Machine | None = None, *, back: str | None = None) -> str:
    """``back``: the address of the index."""
    return document(
        f"{judged.name}: {said(judged.verdict).lower()}",
        _head(judged, back),
        _verdict(judged),
        [_cards(judged, judged.figures)] if judged.figures else None,
        [_timeline(judged.timeline, judged.figures)] if judged.timeline and judged.figures else None,
        _checks(judged),
        _details(judged),
        _foot(machine),
    )


def _head(judged: Judged, back: str | None) -> Iterator[Content]:
    seed = f", seed {judged.verdict.seed}" if judged.verdict.seed is not None else ""
    yield tag("div", tag("a", "all drills", href=back) if back else "drill", class_="over")
    yield tag("h1", judged.name)
    if judged.about:
        yield tag("p", judged.about)
    if judged.started_at_s:
        yield tag("p", f"{when(judged.started_at_s)}{seed}", class_="over")


def _verdict(judged: Judged) -> Markup:
    verdict = judged.verdict
    failed = [f"{finding.name}: {finding.summary}" for finding in judged.findings if not finding.ok]
    return tag(
        "div",
        tag("strong", said(verdict)),
        tag("div", _evidence(judged)) if verdict.safe else None,
        bullets([*failed, *verdict.missed]),
        class_=f"verdict {grade(verdict)}",
    )


def _evidence(judged: Judged) -> str:
    kept = f"{count(judged.figures.holds)} acknowledged holds" if judged.figures else "What was acknowledged"
    return f"All {len(judged.findings)} checkers agree: {kept}, nothing lost, nothing doubled, nothing sold twice."


# -- figures


def _cards(judged: Judged, figures: Figures) -> Markup:
    return tag("div", list(_each_card(judged, figures)), class_="cards")


def _each_card(judged: Judged, figures: Figures) -> Iterator[Markup]:
    limits = judged.limits
    yield _gap("Longest gap in holds", figures.gap_s, figures.gap_steady_s, limits.gap_s_max)
    yield _card(
        "Errors that buyers saw",
        count(figures.buyer_errors),
        f"of {count(figures.ops)} wishes{_at_most(limits.buyer_errors_max)}",
        over=limits.buyer_errors_max is not None and figures.buyer_errors > limits.buyer_errors_max,
    )
    yield _gap("Longest gap in orders", figures.orders_gap_s, figures.orders_gap_steady_s, limits.orders_gap_s_max)
    yield _gap("Longest gap in tickets", figures.tickets_gap_s, figures.tickets_gap_steady_s, limits.tickets_gap_s_max)
    yield _until("All healthy after", figures.recover_s, limits.recover_s_max, "from the last heal")
    yield _until("Drained after", figures.drain_s, limits.drain_s_max, "from the end of the load")
    yield _card("Holds", count(figures.holds), f"by {count(figures.buyers)} buyers; {count(figures.sold)} sold")
    yield _card("p99 of a hold", milliseconds(figures.p99_ms), f"{milliseconds(figures.p99_steady_ms)} in steady state")
    visible = f"the slowest; median {seconds(figures.order_visible_p50_s)}"
    yield _card("From hold to order", seconds(figures.order_visible_max_s), visible)
    yield _card("Events rewound", count(figures.rewound), "sent again to a receiver that had lost them")


def _gap(name: str, gap_s: float, steady_s: float, most_s: float | None) -> Markup:
    limit = ""
    if most_s is not None:
        limit = f"; at most {seconds(allowed_s(most_s, steady_s))}" + (", as in steady state" if most_s == 0 else "")
    over = most_s is not None and gap_s > allowed_s(most_s, steady_s)
    return _card(name, seconds(gap_s), f"{seconds(steady_s)} before the fault{limit}", over=over)


def _until(name: str, took_s: float | None, most_s: float, since: str) -> Markup:
    over = took_s is None or took_s > most_s
    return _card(name, "never" if took_s is None else seconds(took_s), f"{since}; at most {most_s:.0f} s", over=over)


def _at_most(most: int | None) -> str:
    return "" if most is None else f"; at most {count(most)}"


def _card(name: str, value: str, note: str, *, over: bool = False) -> Markup:
    return tag(
        "div",
        tag("div", name, class_="name"),
        tag("div", value, class_="value"),
        tag("div", note, class_="note"),
        class_="card over-limit" if over else "card",
    )


# -- the time line


def _timeline(line: Timeline, figures: Figures) -> Iterator[Content]:
    yield tag("h2", "Time line")
    yield tag("div", chart(line, figures), class_="wide timeline")
    yield tag("div", list(_legend(line)), class_="legend")
    yield tag("div", class_="tip")
    yield tag("script", script_data(_data(line)), type="application/json", id="seconds")
    yield tag("script", trusted(SCRIPT))


def _legend(line: Timeline) -> Iterator[Markup]:
    swatches = [
        ("fault at work", "fault", ""),
        ("leader changed", "leader", "turned"),
        ("holds", "holds", ""),
        ("p99", "p99", "stroke"),
        ("median", "p50", "stroke"),
        *((f"waiting at {name}", f"s{STREAMS.index(name)}", "stroke") for name in STREAMS if name in line.backlog),
    ]
    for text, colour, shape in swatches:
        yield tag("span", tag("i", class_=shape or None, style=f"background:var(--{colour})"), text)


def _data(line: Timeline) -> str:
    """What the pointer is told."""
    data = {
        "seconds": line.seconds,
        "backlog": list(line.backlog.items()),
        "faults": [(f"{fault.name} {fault.target}", fault.began_s, fault.healed_s) for fault in line.faults],
        "changes": [(f"{change.role}: {change.after}", change.at_s) for change in line.leader_changes],
    }
    return msgspec.json.encode(data).decode()


# -- checks and details


def _checks(judged: Judged) -> Iterator[Content]:
    if not judged.findings:
        return
    body = [
        tag(
            "tr",
            tag("td", finding.name, class_="name"),
            tag("td", badge("holds", "good") if finding.ok else badge("broken", "bad")),
            tag("td", finding.summary, bullets(list(finding.problems), "problems")),
        )
        for finding in judged.findings
    ]
    yield tag("h2", "Safety")
    yield rows([("checker", False), ("verdict", False), ("what was found", False)], body, "checks")


def _details(judged: Judged) -> Iterator[Content]:
    if judged.timeline:
        yield tag("h2", "What happened")
        body = [tag("tr", tag("td", at(s), class_="when"), tag("td", text)) for s, text in _moments(judged.timeline)]
        yield rows([], body)
    if judged.figures:
        sides = [
            _counts("Errors that buyers saw", judged.figures.errors),
            _counts("Holds that were refused, as they should be", judged.figures.refused),
        ]
        yield tag("div", sides, class_="columns")


def _moments(line: Timeline) -> list[tuple[float, str]]:
    moments = [(line.load_began_s, "the first buyers come"), (line.load_ended_s, "no more buyers come")]
    if line.drained_s is not None:
        moments.append((line.drained_s, "every sale is decided, nothing waits"))
    for fault in line.faults:
        moments.append((fault.began_s, f"{fault.name} {fault.target}"))
        moments.append((fault.healed_s, f"{fault.name} {fault.target}: healed"))
    for change in line.leader_changes:
        moments.append((change.at_s, f"{change.role}: {change.before or 'nobody'} \u2192 {change.after}"))
    return sorted(moments)


def _counts(title: str, counts: dict[str, int]) -> Markup:
    body = [tag("tr", tag("td", text), tag("td", count(n), class_="number")) for text, n in counts.items()]
    nothing = tag("tr", tag("td", "none"), tag("td", NOTHING, class_="number"))
    return tag("div", tag("h2", title), rows([("what", False), ("times", True)], body or nothing))


def _foot(machine: Machine | None) -> Iterator[Content]:
    if machine is not None:
        yield tag("footer", f"Ran on {machine}.")
