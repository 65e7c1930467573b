"""As much of PromQL as it takes to know which metrics and labels an expression names. promtool judges the rest."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]*
    | (?P<string> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*')
    | \[ [^\]]* \]                                     # a range
    | (?P<number> \d[\w.]*)                            # a number or a duration
    | (?P<word> [a-zA-Z_:][\w:]*)
    | (?P<mark> =~ | !~ | != | == | >= | <= | [-+*/%^=<>(){},@])""",
    re.VERBOSE,
)
_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})  # followed by labels
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})


class Selector(NamedTuple):
    metric: str
    labels: tuple[tuple[str, str], ...]  # those it asks for, and the values or patterns


class Named(NamedTuple):
    selectors: tuple[Selector, ...]
    groups: frozenset[str]  # labels it groups or matches by


def names_in(expression: str) -> Named:
    """Raises AssertionError for what it does not understand."""
    tokens = [*_tokens(expression), ("end", "")]
    selectors: list[Selector] = []
    groups: set[str] = set()
    at = 0
    while at < len(tokens):
        (kind, text), at = tokens[at], at + 1
        if kind == "word" and text in _LISTS:
            if tokens[at] == ("mark", "("):
                end = tokens.index(("mark", ")"), at)
                groups |= {word for kind, word in tokens[at:end] if kind == "word"}
                at = end + 1
        elif kind == "word" and text not in _WORDS:
            following = tokens[at]
            if following == ("mark", "{"):
                end = tokens.index(("mark", "}"), at)
                selectors.append(Selector(text, tuple(_matchers(tokens[at + 1 : end]))))
                at = end + 1
            elif following != ("mark", "(") and following[1] not in _LISTS:  # else a function or an aggregation
                selectors.append(Selector(text, ()))
    return Named(tuple(selectors), frozenset(groups))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found, f"not PromQL: {text[at : at + 40]!r}"
        at = found.end()
        if found.lastgroup:
            yield found.lastgroup, found[found.lastgroup]


def _matchers(tokens: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    words = [token for token in tokens if token != ("mark", ",")]
    assert len(words) % 3 == 0, words
    for label, _, value in zip(words[::3], words[1::3], words[2::3], strict=True):
        assert (label[0], value[0]) == ("word", "string"), words
        yield label[1], value[1][1:-1]
