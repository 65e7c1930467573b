"""The page as HTML: everything escaped, nothing from elsewhere, of bounded size."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from portal.sale_html import POLICY, message_page, sale_page
from portal.telling import Back, Story, Ticket, story_of
from tests.unit.portal.events import NOON_US, SaleEvents
from tests.unit.portal.folding import folded

NASTY = "<script>alert('x')</script>\"&amp;"
VOID = {"meta", "br"}


class Tags(HTMLParser):
    """Opened and closed in pairs; what stands in attributes and texts."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page.decode())
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def nasty(text: str = NASTY) -> Story:
    return Story(
        name=text,
        headline=text,
        tone="good",
        lines=[text],
        amount=text,
        places=[text],
        instead=([text], [text]),
        tickets=[Ticket(text, text, True), Ticket(text, text, False)],
        refunds=[Back(text, [text])],
        walk=[(NOON_US, text)],
        left_out=1,
        again_s=5,
    )


def test_every_text_is_escaped() -> None:
    tags = Tags(sale_page(nasty(), NASTY))

    assert "script" not in tags.names
    assert tags.text.count(NASTY) >= 12


@given(st.text(alphabet="<>&\"'=/ abc\x00", max_size=30))
def test_no_text_opens_a_tag_or_an_attribute(text: str) -> None:
    plain = Tags(sale_page(nasty("plain"), "plain"))
    tags = Tags(sale_page(nasty(text), text))

    assert tags.names == plain.names
    assert tags.attributes == plain.attributes


def test_nothing_comes_from_elsewhere_and_the_style_is_the_one_allowed() -> None:
    page = sale_page(story_of(folded(*SaleEvents().sold()), NOON_US), "an order").decode()
    tags = Tags(page.encode())

    assert not tags.names & {"script", "img", "link", "iframe", "form", "object"}
    assert not tags.attributes & {"style", "src", "href", "onclick", "onload"}
    [style] = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in POLICY
    assert POLICY.startswith("default-src 'none'")


def test_the_page_looks_again_only_while_something_is_under_way() -> None:
    sale = SaleEvents()
    events = sale.sold()

    assert b'http-equiv="refresh"' in sale_page(story_of(folded(*events[:2]), NOON_US), "x")
    assert b'http-equiv="refresh"' not in sale_page(story_of(folded(*events), NOON_US), "x")
    assert b'http-equiv="refresh"' not in message_page("Unknown", [])


def test_void_tickets_are_marked() -> None:
    assert sale_page(nasty("t"), "x").count(b'<span class="mark">void</span>') == 1


def test_the_largest_page_has_an_end() -> None:
    sale = SaleEvents(places=200)
    events = sale.sold()
    for _ in range(300):
        events += [sale.declined(), sale.authorized()]

    assert len(sale_page(story_of(folded(*events), NOON_US), "x")) < 64_000
