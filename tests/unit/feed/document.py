"""What docs/feed-protocol.md shows: its text, its examples, its listing."""

import ast
import re
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[3] / "docs" / "feed-protocol.md"
TEXT = PATH.read_text()

# What an example means, and its bytes on the wire, header included.
EXAMPLES: list[tuple[list[Any], bytes]] = [
    (ast.literal_eval(notation), bytes.fromhex(digits))
    for notation, digits in re.findall(r"```hex\n# (.+)\n([0-9a-f \n]+)\n```", TEXT)
]


def listing() -> dict[str, Any]:
    """The names that the listing of section 16 defines, after it has run as it stands there."""
    (source,) = re.findall(r"```python\n(.+?)\n```", TEXT.split("\n## 16.")[1], re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(source, str(PATH), "exec"), names)
    return names
