"""Tags that cannot be got wrong: text is escaped, markup is a type of its own."""

from collections.abc import Iterable
from html import escape


class Markup(str):
    """Text that is HTML already. Only this file makes it out of anything else."""

    __slots__ = ()


Content = str | int | float | None | Iterable["Content"]

VOID = frozenset({"br", "meta", "rect", "line", "path", "polyline", "polygon", "circle"})  # they have no content


def tag(name: str, /, *content: Content, **attributes: str | int | float | None) -> Markup:
    """``class_`` is class, and ``stroke_width`` stroke-width; an attribute that is None is left out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{join(content)}</{name}>")


def join(content: Content) -> Markup:
    """Everything in ``content``, escaped where it is no markup."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str | int | float):
        return Markup(escape(_text(content)))
    return Markup("".join(join(part) for part in content))


def trusted(text: str) -> Markup:
    """Our own style and script."""
    return Markup(text)


def script_data(json: str) -> Markup:
    """JSON inside a script element: only ``<`` could end it."""
    return Markup(json.replace("<", "\\u003c"))


def _text(value: str | int | float) -> str:
    """Coordinates need no more than a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
