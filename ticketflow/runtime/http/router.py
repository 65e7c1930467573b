"""From a path to its routes: a tree of segments. A fixed segment wins over a parameter."""

from collections.abc import Iterable
from urllib.parse import unquote

from ticketflow.runtime.http.route import Route

SEGMENTS_MAX = 16


class _Node:
    __slots__ = ("fixed", "parameter", "parameter_name", "routes")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.parameter_name = ""
        self.routes: dict[str, Route] = {}


class Router:
    """Raises ValueError when two routes collide."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def find(self, raw_path: str) -> tuple[dict[str, Route], dict[str, str]]:
        """(routes of the path by method, its parameters decoded); no routes when the path is unknown."""
        segments = raw_path.split("/")[1:]
        if len(segments) > SEGMENTS_MAX:
            return {}, {}
        node, parameters = self._root, {}
        for segment in segments:
            following = node.fixed.get(segment)
            if following is None:
                following = node.parameter
                if following is None or not segment:
                    return {}, {}
                parameters[node.parameter_name] = unquote(segment)
            node = following
        return node.routes, parameters

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{") and segment.endswith("}"):
                name = segment[1:-1]
                if node.parameter is None:
                    node.parameter, node.parameter_name = _Node(), name
                elif node.parameter_name != name:
                    raise ValueError(f"{route.path}: {{{name}}} is named {{{node.parameter_name}}} elsewhere")
                node = node.parameter
            else:
                node = node.fixed.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} is routed twice")
        node.routes[route.method] = route
