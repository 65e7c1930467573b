"""The OpenAPI 3.1 document of a set of routes, from their types."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ticketflow.runtime.http.answer import JSON_TYPE, PROBLEM_TYPE
from ticketflow.runtime.http.route import Route
from ticketflow.runtime.problem import ProblemBody

_PARAMETER = re.compile(r"\{(\w+)\}")
_REF = "#/components/schemas/{name}"
COMMON_PROBLEMS = ("timed_out", "store_unavailable", "outcome_unknown", "internal")


def document(routes: Sequence[Route], *, title: str, version: str) -> dict[str, Any]:
    """The document as JSON-ready data."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "paths": paths,
        "components": {
            "schemas": _components(routes),
            "securitySchemes": {"admin_key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types(routes: Iterable[Route]) -> list[type[Any]]:
    found: list[type[Any]] = [ProblemBody]
    for route in routes:
        for kind in (route.body, route.query, route.response):
            if kind not in (None, bytes) and kind not in found:
                found.append(kind)
    return found


def _components(routes: Iterable[Route]) -> dict[str, Any]:
    _schemas, components = msgspec.json.schema_components(_types(routes), ref_template=_REF)
    return dict(components)


def _schema(kind: type[Any]) -> dict[str, Any]:
    (schema,), _components = msgspec.json.schema_components([kind], ref_template=_REF)
    return dict(schema)


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)],
        "responses": {str(route.status): _success(route), "default": _failure(route)},
    }
    if route.tags:
        operation["tags"] = list(route.tags)
    if route.description:
        operation["description"] = route.description
    if route.conditional:
        operation["responses"]["304"] = {"description": "What If-None-Match names is still so."}
    if route.body is not None:
        content = {"*/*": {}} if route.body is bytes else {JSON_TYPE: {"schema": _schema(route.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.admin:
        operation["security"] = [{"admin_key": []}]
    return operation


def _operation_id(route: Route) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9_]+", route.path) if word]
    return "_".join([route.method.lower(), *words])


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"} if name.endswith("_id") else {"type": "string"},
        }
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    (schema,), components = msgspec.json.schema_components([route.query], ref_template=_REF)
    body = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    required = body.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": of}
        for name, of in body.get("properties", {}).items()
    ]


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    if route.conditional:
        return [
            {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
            for name in ("If-None-Match", "Cache-Control")
        ]
    if not route.idempotency_key:
        return []
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "A fresh key for each intent; repeating a request with its key repeats its answer.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 128},
        }
    ]


def _success(route: Route) -> dict[str, Any]:
    if route.media is not None:
        return {"description": route.summary, "content": {route.media: {"schema": {"type": "string"}}}}
    if route.response is None:
        return {"description": route.summary}
    return {"description": route.summary, "content": {JSON_TYPE: {"schema": _schema(route.response)}}}


def _failure(route: Route) -> dict[str, Any]:
    codes = ", ".join(dict.fromkeys([*route.problems, *COMMON_PROBLEMS]))
    return {
        "description": f"A problem; its `code` is one of: {codes}, or says what is wrong with the request.",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(name="ProblemBody")}}},
    }
