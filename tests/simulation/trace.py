"""What happened, line by line: when, who, what. The same seed gives the same bytes."""


class Trace:
    """``on``: whether anybody reads it. Callers ask before they make up a text."""

    def __init__(self, on: bool = False) -> None:
        self.on = on
        self.lines: list[str] = []

    def say(self, at: float, who: str, what: str) -> None:
        if self.on:
            self.lines.append(f"{at:9.4f}  {who:<9}  {what}")

    def text(self) -> str:
        return "".join(line + "\n" for line in self.lines)
