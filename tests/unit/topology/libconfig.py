"""As much of libconfig as proxysql.cnf uses: settings, groups in braces, lists in parentheses, strings, numbers."""

import re
from typing import Any

_TOKEN = re.compile(r'\s+|#[^\n]*|"(?P<string>(?:[^"\\]|\\.)*)"|(?P<word>[A-Za-z_][\w-]*|-?\d+)|(?P<mark>[={}();,])')


def parse(text: str) -> dict[str, Any]:
    tokens = list(_tokens(text))
    settings = _group(tokens)
    assert not tokens, f"not understood: {tokens[:3]}"
    return settings


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found, f"not libconfig: {text[at : at + 40]!r}"
        at = found.end()
        if found.lastgroup:
            tokens.append((found.lastgroup, found[found.lastgroup]))
    return tokens


def _group(tokens: list[tuple[str, str]]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    while tokens and tokens[0] != ("mark", "}"):
        _, name = tokens.pop(0)
        assert name not in settings, f"{name} stands twice"
        assert tokens.pop(0) == ("mark", "="), name
        settings[name] = _value(tokens)
        if tokens and tokens[0] in (("mark", ","), ("mark", ";")):
            tokens.pop(0)
    return settings


def _value(tokens: list[tuple[str, str]]) -> Any:
    kind, text = tokens.pop(0)
    if kind == "string":
        return text
    if kind == "word":
        return {"true": True, "false": False}[text] if text.isalpha() else int(text)
    if text == "{":
        group = _group(tokens)
        assert tokens.pop(0) == ("mark", "}")
        return group
    assert text == "(", text
    items: list[Any] = []
    while tokens[0] != ("mark", ")"):
        items.append(_value(tokens))
        if tokens[0] == ("mark", ","):
            tokens.pop(0)
    tokens.pop(0)
    return items
