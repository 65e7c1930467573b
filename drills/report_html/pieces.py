"""What both kinds of page are made of."""

from drills.report_html.markup import Content, Markup, tag, trusted
from drills.report_html.style import STYLE
from drills.verdict import Verdict

SAFE_AND_MET = "Safe, and within its limits"
SAFE_NOT_MET = "Safe, but a limit was missed"
NOT_SAFE = "Not safe"


def document(title: str, *content: Content) -> str:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", trusted(STYLE)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', content)), lang='en')}\n"


def grade(verdict: Verdict) -> str:
    """The class that colours it."""
    if not verdict.safe:
        return "bad"
    return "good" if verdict.met else "warn"


def said(verdict: Verdict) -> str:
    if not verdict.safe:
        return NOT_SAFE
    return SAFE_AND_MET if verdict.met else SAFE_NOT_MET


def badge(text: str, kind: str) -> Markup:
    return tag("span", text, class_=f"badge {kind}")


def rows(head: list[tuple[str, bool]], body: Content, kind: str | None = None) -> Markup:
    """A table that scrolls by itself when it is too wide. ``head``: names, and whether they stand over numbers."""
    names = [tag("th", name, class_="number" if number else None) for name, number in head]
    heading = tag("thead", tag("tr", names)) if head else None
    return tag("div", tag("table", heading, tag("tbody", body), class_=kind), class_="wide")


def bullets(lines: list[str], kind: str | None = None) -> Markup | None:
    """None of nothing."""
    return tag("ul", [tag("li", line) for line in lines], class_=kind) if lines else None
