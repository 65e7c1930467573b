"""A sale's page as HTML. What it says comes from portal/telling.py; here it is escaped and laid out, nothing else.

No script, no picture, no font, nothing from anywhere else: the Content-Security-Policy names the style by its hash.
"""

import base64
import hashlib
from collections.abc import Iterable
from html import escape

from portal.phrases import moment
from portal.telling import Back, Story, Ticket
from portal.times import time_of

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--line:#dfe3e8;--card:#fff;--ground:#f3f4f6;
--waiting:#8a5a00;--good:#17663a;--bad:#8f1d1d;--back:#234f9d}
@media(prefers-color-scheme:dark){:root{--ink:#eceff2;--soft:#a2acb6;--line:#343b43;--card:#1c2127;--ground:#121519;
--waiting:#f0bd5c;--good:#6fcf97;--bad:#ff9c9c;--back:#8db7ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:17px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:38rem;margin:0 auto;padding:1rem}
section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.1rem 1.25rem;margin:0 0 1rem}
.standing{border-top:.35rem solid var(--tone)}
.waiting{--tone:var(--waiting)}.good{--tone:var(--good)}.bad{--tone:var(--bad)}.back{--tone:var(--back)}
.name{margin:0;color:var(--soft);overflow-wrap:anywhere}
h1{margin:.1rem 0 .6rem;font-size:1.55rem;line-height:1.25;color:var(--tone)}
h2{margin:0 0 .6rem;font-size:1.05rem}
p{margin:.4rem 0;overflow-wrap:anywhere}
ul,ol{list-style:none;margin:0;padding:0}
li{padding:.55rem 0;border-top:1px solid var(--line);overflow-wrap:anywhere}
li:first-child{border-top:0;padding-top:.1rem}
li:last-child{padding-bottom:.1rem}
.place{font-weight:600;font-size:1.1rem}
.void .place{text-decoration:line-through;color:var(--soft)}
.mark{display:inline-block;margin-left:.5rem;padding:0 .5rem;border-radius:1rem;font-size:.8rem;font-weight:600;
border:1px solid var(--bad);color:var(--bad)}
.id,time,.small{display:block;color:var(--soft);font-size:.85rem}
.id{font-family:ui-monospace,monospace;font-size:.75rem}
.swap{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1rem;margin:0}
.swap dt{color:var(--soft)}.swap dd{margin:0;overflow-wrap:anywhere}
.old{text-decoration:line-through;color:var(--soft)}
.price,.sum{font-weight:600}
"""
POLICY = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def sale_page(story: Story, order_id: str) -> bytes:
    parts = [
        f'<section class="standing {story.tone}"><p class="name">{escape(story.name)}</p>'
        f"<h1>{escape(story.headline)}</h1>{_paragraphs(story.lines)}"
        + ("" if story.amount is None else f'<p class="price">{escape(story.amount)}</p>')
        + "</section>"
    ]
    if story.places:
        parts.append(_section("Places", f"<p>{escape(', '.join(story.places))}</p>"))
    if story.instead is not None:
        parts.append(_swap(*story.instead))
    if story.tickets:
        parts.append(_section("Tickets", f"<ul>{''.join(map(_ticket, story.tickets))}</ul>"))
    if story.refunds:
        parts.append(_section("Money back", f"<ul>{''.join(map(_back, story.refunds))}</ul>"))
    parts.append(_section("What happened", _walk(story)))
    parts.append(f'<p class="small">Order <span class="id">{escape(order_id)}</span></p>')
    return _document(f"{story.headline} - {story.name}", "".join(parts), story.again_s)


def message_page(headline: str, lines: Iterable[str], *, again_s: int | None = None) -> bytes:
    """A page about no sale."""
    body = f'<section class="standing waiting"><h1>{escape(headline)}</h1>{_paragraphs(lines)}</section>'
    return _document(headline, body, again_s)


def _document(title: str, body: str, again_s: int | None) -> bytes:
    refresh = "" if again_s is None else f'<meta http-equiv="refresh" content="{again_s}">'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"{refresh}<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    ).encode()


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _paragraphs(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _swap(chosen: Iterable[str], got: Iterable[str]) -> str:
    old = ", ".join(chosen) or "not known here"
    return _section(
        "Other places",
        f'<dl class="swap"><dt>You chose</dt><dd class="old">{escape(old)}</dd>'
        f"<dt>You have</dt><dd>{escape(', '.join(got))}</dd></dl>",
    )


def _ticket(ticket: Ticket) -> str:
    mark = '<span class="mark">void</span>' if ticket.void else ""
    return (
        f'<li class="{"void" if ticket.void else "good"}"><span class="place">{escape(ticket.place)}</span>{mark}'
        f'<span class="id">{escape(ticket.ticket_id)}</span></li>'
    )


def _back(back: Back) -> str:
    details = "".join(f'<span class="small">{escape(detail)}</span>' for detail in back.details)
    return f'<li><span class="sum">{escape(back.text)}</span>{details}</li>'


def _walk(story: Story) -> str:
    steps = "".join(
        f'<li><time datetime="{time_of(at_us):%Y-%m-%dT%H:%M:%SZ}">{moment(at_us)}</time>{escape(text)}</li>'
        for at_us, text in story.walk
    )
    left_out = f'<p class="small">{story.left_out} earlier steps are not shown.</p>' if story.left_out else ""
    return f"{left_out}<ol>{steps}</ol>"
