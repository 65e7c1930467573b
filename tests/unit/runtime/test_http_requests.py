"""What a request must look like to reach its handler, and with which code it is refused."""

import gzip

import pytest

from tests.unit.runtime.wire import ADMIN_KEY, BODY_BYTES_MAX, ID, LONG_BYTES_MAX, Face, Line, Order, read_answer

ORDER = {"buyer": "b", "lines": [{"seat": "A1"}]}


async def test_a_good_request_reaches_its_handler_typed(face: Face) -> None:
    answer = await face.order(ORDER, **{"X-Correlation-Id": "abc-1", "Authorization": "Bearer token"})
    assert answer.status == 201
    assert answer.json == {"buyer": "b", "lines": [{"seat": "A1", "quantity": 1}]}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"/orders/{ID}"
    (request,) = face.seen
    assert request.body == Order(buyer="b", lines=[Line(seat="A1")])
    assert request.idempotency_key == "k"
    assert request.correlation_id == "abc-1"
    assert request.bearer == "token"


async def test_the_fingerprint_is_of_the_meaning_not_of_the_spelling(face: Face) -> None:
    await face.order(b'{"buyer":"b","lines":[{"seat":"A1"}]}')
    await face.order(b'{ "lines": [{"quantity": 1, "seat": "A1"}],\n "buyer": "b" }')
    await face.order(b'{"buyer":"c","lines":[{"seat":"A1"}]}')
    first, second, third = (request.fingerprint for request in face.seen)
    assert first == second != third
    assert len(first) == 32


@pytest.mark.parametrize(
    ("content", "status", "code", "detail"),
    [
        (b"{", 400, "bad_json", "not JSON"),
        (b"", 400, "bad_json", "not JSON"),
        (b'\xff"', 400, "bad_json", "JSON"),
        (b'{"buyer":' + b"[" * 900, 422, "bad_body", "`body.buyer`"),
        ([], 422, "bad_body", "Expected `object`, got `array`"),
        ({"buyer": "b", "lines": [{"seat": 1}]}, 422, "bad_body", "`body.lines[0].seat`"),
        ({"buyer": "b"}, 422, "bad_body", "missing required field `lines`"),
        ({**ORDER, "more": 1}, 422, "bad_body", "unknown field `more`"),
        (b'{"buyer":"b","lines":[{"seat":"A1","quantity":1e400}]}', 422, "bad_body", ""),
        (b" " * (BODY_BYTES_MAX + 1), 413, "body_too_large", str(BODY_BYTES_MAX)),
    ],
)
async def test_a_bad_body_is_refused(face: Face, content: object, status: int, code: str, detail: str) -> None:
    answer = await face.order(content)
    assert (answer.status, answer.code) == (status, code)
    assert detail in answer.json["detail"]
    assert not face.seen


async def test_a_body_must_be_plain_json_by_its_headers(face: Face) -> None:
    text = await face.order(b"{}", **{"Content-Type": "text/plain"})
    assert (text.status, text.code) == (415, "unsupported_media_type")
    packed = await face.order(gzip.compress(b" " * 10_000_000)[:BODY_BYTES_MAX], **{"Content-Encoding": "gzip"})
    assert (packed.status, packed.code) == (415, "unsupported_media_type")
    charset = await face.order(ORDER, **{"Content-Type": "application/json; charset=utf-8"})
    assert charset.status == 201


@pytest.mark.parametrize(("key", "code"), [("", "idempotency_key_invalid"), ("x" * 129, "idempotency_key_invalid")])
async def test_a_bad_idempotency_key_is_refused(face: Face, key: str, code: str) -> None:
    answer = await face.order(ORDER, **{"Idempotency-Key": key})
    assert (answer.status, answer.code) == (400, code)


async def test_a_missing_idempotency_key_is_refused(face: Face) -> None:
    answer = await face.send("POST", "/orders", ORDER)
    assert (answer.status, answer.code) == (400, "idempotency_key_missing")


async def test_ids_in_the_path_are_checked_and_fixed_segments_win(face: Face) -> None:
    assert (await face.send("GET", f"/orders/{ID}")).status == 200
    assert face.seen[0].path == {"order_id": ID}
    assert (await face.send("GET", "/orders/latest")).status == 200
    for wrong in ("7", ID.upper(), ID[:-1], "%00", ID.replace("-7", "-4")):
        answer = await face.send("GET", f"/orders/{wrong}")
        assert (answer.status, answer.code) == (400, "bad_path_id")


async def test_the_query_is_typed(face: Face) -> None:
    assert (await face.send("GET", "/orders?limit=5")).json == {"limit": 5}
    assert (await face.send("GET", "/orders")).json == {"limit": 10}
    for wrong in ("limit=x", "limit=1&limit=2", "unknown=1"):
        answer = await face.send("GET", f"/orders?{wrong}")
        assert (answer.status, answer.code) == (422, "bad_query")


async def test_admin_routes_need_the_key(face: Face) -> None:
    line = {"seat": "A1"}
    good = await face.send("PUT", "/venues", line, {"Authorization": f"Bearer {ADMIN_KEY}"})
    assert good.status == 200
    for wrong in ("Bearer no", f"Basic {ADMIN_KEY}", "Bearer", ADMIN_KEY, "Bearer \xe9"):
        answer = await face.send("PUT", "/venues", line, {"Authorization": wrong})
        assert (answer.status, answer.code) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert (await face.send("PUT", "/venues", line)).status == 401


async def test_unknown_paths_and_methods(face: Face) -> None:
    for path in ("/", "/nothing", "/orders/", f"/orders/{ID}/more", "/" + "a/" * 100):
        answer = await face.send("GET", path)
        assert (answer.status, answer.code) == (404, "not_found")
    answer = await face.send("PUT", "/orders")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await face.send("POST", "/orders/latest", ORDER)).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_options_and_head(face: Face) -> None:
    options = await face.send("OPTIONS", "/orders")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    get, head = await face.send("GET", "/healthz"), await face.send("HEAD", "/healthz")
    assert (head.status, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
    assert (await face.send("DELETE", "/raw")).status == 204


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\u00e9"])
async def test_a_correlation_id_that_may_not_be_one_is_replaced(face: Face, given: str) -> None:
    answer = await face.send("GET", "/healthz", headers={"X-Correlation-Id": given})
    assert len(answer.headers["x-correlation-id"]) == 36


async def test_the_correlation_id_comes_from_either_header(face: Face) -> None:
    answer = await face.send("GET", "/nothing", headers={"X-Request-Id": "r.1_2-3"})
    assert answer.json["correlation_id"] == answer.headers["x-correlation-id"] == "r.1_2-3"


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "text/plain", ""])
async def test_a_route_for_bytes_is_given_the_body_as_it_came(face: Face, kind: str) -> None:
    content = b' {"a": 1}\r\n\xff&b=%20'
    assert (await face.send("POST", "/bytes", content, {"Content-Type": kind})).status == 200
    (request,) = face.seen
    assert request.body == content
    assert len(request.fingerprint) == 32


async def test_bytes_are_bounded_too(face: Face) -> None:
    answer = await face.send("POST", "/bytes", b"x" * (BODY_BYTES_MAX + 1))
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert not face.seen


async def test_a_route_may_have_a_bound_of_its_own_and_the_others_keep_theirs(face: Face) -> None:
    assert (await face.send("POST", "/long", b"x" * LONG_BYTES_MAX)).status == 200
    for path, length in (("/long", LONG_BYTES_MAX + 1), ("/bytes", BODY_BYTES_MAX + 1)):
        assert (await face.send("POST", path, b"x" * length)).code == "body_too_large"
        reader, writer = await face.open()
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + f"{length:x}\r\n".encode() + b"x" * length + b"\r\n0\r\n\r\n")
        assert (await read_answer(reader)).code == "body_too_large"
        writer.close()
        await writer.wait_closed()
    assert len(face.seen) == 1
