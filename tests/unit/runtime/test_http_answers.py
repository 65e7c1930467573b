"""What every answer has, whatever went wrong, and what the process's own endpoints say."""

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.support.waiting import wait_until
from tests.unit.runtime.wire import Answer, Face


@pytest.mark.parametrize(
    ("how", "status", "code", "retry_after"),
    [
        ("unavailable", 503, "store_unavailable", "1"),
        ("indefinite", 503, "outcome_unknown", "1"),
        ("refused", 409, "seat_unavailable", None),
        ("bug", 500, "internal", None),
    ],
)
async def test_errors_have_a_code(face: Face, how: str, status: int, code: str, retry_after: str | None) -> None:
    answer = await face.send("GET", f"/fail/{how}")
    assert (answer.status, answer.code, answer.headers.get("retry-after")) == (status, code, retry_after)


async def test_a_bug_is_logged_once_with_its_traceback_and_shown_to_nobody(face: Face) -> None:
    with capture_logs() as lines:
        answer = await face.send("GET", "/fail/bug", headers={"X-Correlation-Id": "c-1"})
    assert b"secret" not in answer.content
    assert b"Traceback" not in answer.content
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert line["event"] == "request_failed"
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_a_problem_may_say_more_but_not_otherwise(face: Face) -> None:
    body = (await face.send("GET", "/fail/refused")).json
    assert body["seats"] == ["A1"]
    assert body["code"] == "seat_unavailable"
    assert body["title"] == "seat unavailable"


async def test_ready_says_which_check_fails(face: Face) -> None:
    async def broken() -> None:
        raise RuntimeError("no database")

    assert (await face.send("GET", "/readyz")).status == 200
    face.health.add("store", broken)
    answer = await wait_until(lambda: _not_ready(face))
    assert answer is not None
    assert answer.json == {"status": "not ready", "failing": {"store": "no database"}}
    assert answer.headers["retry-after"] == "1"
    assert (await face.send("GET", "/healthz")).status == 200


async def _not_ready(face: Face) -> Answer | None:
    answer = await face.send("GET", "/readyz")
    return answer if answer.status == 503 else None


async def test_metrics_count_by_route_and_not_by_path(face: Face) -> None:
    await face.send("GET", "/fail/refused")
    await face.send("GET", "/never/heard/of")
    text = (await face.send("GET", "/metrics")).content.decode()
    assert 'http_requests_total{method="GET",route="/fail/{how}",status="409"}' in text
    assert "/never/heard/of" not in text
    assert "http_request_seconds_bucket" in text


async def test_the_document_describes_the_routes(face: Face) -> None:
    document = (await face.send("GET", "/openapi.json")).json
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {"title": "Test", "version": "1"}
    post = document["paths"]["/orders"]["post"]
    assert post["operationId"] == "post_orders"
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert set(post["responses"]) == {"201", "default"}
    assert "seat_unavailable" in post["responses"]["default"]["description"]
    assert [parameter["name"] for parameter in post["parameters"]] == ["Idempotency-Key"]
    by_id = document["paths"]["/orders/{order_id}"]["get"]["parameters"]
    assert by_id == [
        {"name": "order_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
    ]
    many = document["paths"]["/orders"]["get"]
    assert [(p["name"], p["in"], p["required"]) for p in many["parameters"]] == [
        ("limit", "query", False),
        ("after", "query", False),
    ]
    assert many["responses"]["200"]["content"]["application/json"]["schema"]["type"] == "array"
    assert document["paths"]["/venues"]["put"]["security"] == [{"admin_key": []}]
    assert "/healthz" not in document["paths"]


async def test_every_reference_of_the_document_leads_somewhere(face: Face) -> None:
    document = (await face.send("GET", "/openapi.json")).json
    schemas = document["components"]["schemas"]
    assert {"Order", "Line", "Page", "ProblemBody"} <= set(schemas)
    references = [
        text.rpartition("/")[2]
        for text in msgspec.json.encode(document).decode().split('"')
        if text.startswith("#/components/schemas/")
    ]
    assert references
    assert set(references) <= set(schemas)
    operation_ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(operation_ids) == len(set(operation_ids))
