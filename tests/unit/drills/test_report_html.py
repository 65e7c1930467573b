"""The pages: what they say, that nothing in them can break out, and that they need nothing from elsewhere."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.history import Fault, Sample
from drills.limits import Limits
from drills.machine import Machine
from drills.report_html import file_name, index, page
from drills.report_html.markup import join, script_data, tag
from drills.report_html.scales import Linear, lanes, logarithmic, time_ticks, top_of, usual_top
from drills.verdict import Judged, judge, unjudged
from tests.unit.drills.story import Story, good_story

HERE = Machine(2, 7936, "a processor", "6.1.0", "docker 20.10")
EVIL = "<script>alert('&')</script>"
VOID = {"meta", "br"}


class Tags(HTMLParser):
    """Fails where a tag is closed that is not open; ``open`` is empty after a whole page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def whole(html: str) -> str:
    parser = Tags()
    parser.feed(html)
    assert parser.open == []
    return html


def outage() -> Story:
    story = Story(capacity=100)
    story.faults = [Fault("kill", "postgres1", 30.5, 50.0), Fault("freeze", "mariadb2", 31.0, 58.0)]
    for at in [*range(1, 31), *range(42, 61)]:
        story.hold(f"h{at}", f"s{at}", at=float(at))
        story.end(f"h{at}", "EXPIRED", "expired", at=float(at + 31))
    story.op("sale", "h1", at=59.5, outcome="indefinite", status=0)
    story.samples = [
        Sample(20.0, {"postgres primary": "postgres1"}, {"reservation": 3}),
        Sample(41.0, {"postgres primary": "postgres2"}, {"reservation": 170}),
    ]
    return story


def judged() -> Judged:
    return judge(outage().history(), Limits(gap_s_max=11.0, buyer_errors_max=5), "The primary dies.")


def unsafe() -> Judged:
    story = good_story()
    del story.units["s9"]
    return judge(story.history(), Limits())


def text_of(html: str) -> str:
    body = re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_a_page_says_the_verdict_the_figures_and_what_happened() -> None:
    html = whole(page(judged(), HERE, back="index.html"))

    text = text_of(html)
    for told in (
        "a drill",
        "The primary dies.",
        "Safe, but a limit was missed",
        "longest gap between acknowledged holds: 12.0 s, at most 11.0 s",
        "All 8 checkers agree: 49 acknowledged holds",
        "12.0 s without a hold",
        "kill postgres1",
        "freeze mariadb2: healed",
        "postgres primary: postgres1 \u2192 postgres2",
        "sale no answer",
        "Ran on 2 cores of a processor",
    ):
        assert told in text
    assert 'href="index.html"' in html


def test_a_page_shows_every_problem_of_an_unsafe_drill() -> None:
    text = text_of(whole(page(unsafe(), HERE)))

    assert "Not safe" in text
    assert "bank: 1 problem" in text
    assert "at the end 6 free + 0 held + 3 sold = 9 of 9 places, which is not 10" in text


def test_a_drill_without_a_verdict_says_why() -> None:
    text = text_of(whole(page(unjudged("x", Limits(), "the auditor was not let in"))))

    assert "Not safe" in text
    assert "no verdict: the auditor was not let in" in text


def test_an_index_lists_every_drill_with_the_worst_first_to_be_seen() -> None:
    good = judge(good_story().history(), Limits())
    html = whole(index([good, judged(), unsafe(), unjudged("galera all", Limits(), "away")], HERE))

    text = text_of(html)
    assert "1 of 4 drills safe and within their limits" in text
    assert "not safe: a drill not safe: galera all limit missed: a drill" in text
    assert "12.0 s max 11.0 s" in text
    assert 'href="galera-all.html"' in html
    assert html.count('class="spark"') == 3


def test_an_index_of_good_drills_is_good() -> None:
    assert 'class="verdict good"' in index([judge(good_story().history(), Limits())])


def test_nothing_in_a_page_comes_from_elsewhere() -> None:
    for html in (page(judged(), HERE), index([judged()], HERE)):
        assert not re.search(r"https?:|src=|@import|url\(", html)
        assert "color-scheme: light dark" in html
        assert "prefers-color-scheme: dark" in html


def test_whatever_a_drill_is_called_it_stays_text() -> None:
    story = outage()
    story.otherwise = {"drill": EVIL}
    story.faults = [Fault(EVIL, EVIL, 30.5, 50.0)]
    story.samples = [Sample(1.0, {f"{EVIL} leader": "a"}, {EVIL: 1}), Sample(2.0, {f"{EVIL} leader": EVIL}, {})]
    story.op("hold", "h1", at=3.0, outcome="refused", status=503, code=EVIL, order_id="")
    evil = judge(story.history(), Limits(), EVIL)

    for html in (
        whole(page(evil, HERE, back=f'"{EVIL}')),
        whole(index([evil, unjudged(EVIL, Limits(), EVIL)], title=EVIL)),
    ):
        assert "<script>alert" not in html


def test_the_drawing_is_well_formed() -> None:
    (drawing,) = re.findall(r"<svg.*?</svg>", page(judged(), HERE), flags=re.S)

    root = ElementTree.fromstring(drawing)
    kinds = [element.get("class") for element in root]
    assert kinds.count("shade") == 2
    assert kinds.count("fault") == 2
    assert kinds.count("leader") == 1
    assert kinds.count("error") == 1
    assert kinds.count("gap") == 1
    numbers = [float(element.get(name, "0")) for element in root for name in ("x", "x1", "x2")]
    assert all(-9 <= number <= 1000 for number in numbers)


def test_a_drill_in_which_nothing_happened_can_be_drawn() -> None:
    assert "none" in text_of(whole(page(judge(Story().history(), Limits()))))


def test_a_long_drill_stays_small() -> None:
    story = Story(capacity=1)
    for n in range(1200):
        story.op("hold", f"h{n}", at=float(n), key=f"k{n}")
    story.samples = [Sample(float(n), {}, {"reservation": n, "billing": n, "portal": n}) for n in range(1200)]

    assert len(page(judge(story.history(), Limits()))) < 250_000


@pytest.mark.parametrize(
    ("name", "file"),
    [("postgres-primary-killed", "postgres-primary-killed.html"), ("../etc/x y", "etc-x-y.html"), ("10 %", "10.html")],
)
def test_a_page_has_a_file_name_everywhere(name: str, file: str) -> None:
    assert file_name(name) == file


# -- markup


@given(st.text())
def test_text_is_escaped_wherever_it_stands(text: str) -> None:
    made = tag("p", text, [text, tag("b", text)], title=text)

    assert "<" not in made.removeprefix("<p").removesuffix("</p>").replace("<b>", "").replace("</b>", "")
    assert made.count('"') == 2


def test_attributes_are_named_as_html_names_them() -> None:
    assert tag("text", 1.25, class_="a", text_anchor="end", x=2.0, y=None) == (
        '<text class="a" text-anchor="end" x="2">1.2</text>'
    )
    assert (tag("br"), join(["a<", None, 3])) == ("<br/>", "a&lt;3")


def test_data_cannot_end_its_script() -> None:
    assert script_data('{"a":"</script>"}') == '{"a":"\\u003c/script>"}'


# -- scales


def test_linear_and_logarithmic_places() -> None:
    assert [Linear(0, 10, 100, 0)(value) for value in (0, 5, 10)] == [100, 50, 0]
    scale = logarithmic([20.0, 900.0], 100, 0)
    assert scale.decades == [10, 100, 1000]
    assert [scale(value) for value in (1, 10, 100, 1000)] == pytest.approx([100, 100, 50, 0])


@pytest.mark.parametrize(
    ("values", "top"), [([], 1), ([0.0], 1), ([9.0], 10), ([21.0], 30), ([10.0], 10), ([101.0], 200)]
)
def test_the_top_of_a_panel_is_a_round_number(values: list[float], top: float) -> None:
    assert top_of(values) == top


def test_a_burst_does_not_flatten_the_usual_seconds() -> None:
    assert usual_top([9.0] * 50 + [0.0] * 20 + [200.0]) == 20
    assert usual_top([0.0, 0.0]) == 1


@given(st.floats(1, 3000))
def test_there_are_a_few_round_ticks(end_s: float) -> None:
    ticks = time_ticks(end_s)

    assert ticks[0] == 0
    assert ticks[-1] <= end_s
    assert len(ticks) <= 14


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 50)).map(lambda span: (span[0], span[0] + span[1]))))
def test_spans_of_one_lane_never_overlap(spans: list[tuple[float, float]]) -> None:
    ordered = sorted(spans)
    placed = list(zip(ordered, lanes(ordered), strict=True))

    for index_, (one, lane) in enumerate(placed):
        assert all(other[0] >= one[1] for other, its_lane in placed[index_ + 1 :] if its_lane == lane)
