"""The peer of goal `holds-fastapi`: the same transaction in FastAPI, as its documentation would have it written.

uvicorn with uvloop and httptools, a pool of asyncpg, and for each request the very statement that places holds here.

    python -m bench.holds_fastapi_app PORT DSN
"""

import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec
import uvicorn
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from reservation.store_placing import DECIDE
from reservation.telling import telling
from ticketflow.events import hold_token, new_id
from ticketflow.runtime.correlation import Correlation

POOL = 8


class General(BaseModel):  # type: ignore[misc]  # see pyproject: pydantic is never followed
    tier: str
    quantity: int


class Wish(BaseModel):  # type: ignore[misc]  # see pyproject: pydantic is never followed
    event_id: str = Field(max_length=64)
    buyer_id: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")
    seats: list[str] = []
    general: list[General] = []
    late: str = "refund"


class Line(BaseModel):  # type: ignore[misc]  # see pyproject: pydantic is never followed
    unit_id: str
    tier: str
    label: str
    price_minor: int


class Placed(BaseModel):  # type: ignore[misc]  # see pyproject: pydantic is never followed
    hold_id: str
    order_id: str
    token: str
    state: str
    event_id: str
    buyer_id: str
    lines: list[Line]
    total_minor: int
    currency: str
    placed_at: datetime
    expires_at: datetime


def application(dsn: str) -> FastAPI:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=POOL, max_size=POOL) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=life)

    @app.get("/readyz")  # type: ignore[untyped-decorator]
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/api/v1/holds", status_code=201, response_model=Placed)  # type: ignore[untyped-decorator]
    async def place(wish: Wish, request: Request, idempotency_key: Annotated[str, Header()]) -> Any:
        general = msgspec.json.encode([one.model_dump() for one in wish.general]).decode()
        fingerprint = hashlib.sha256(wish.model_dump_json().encode()).digest()
        hold_id = new_id()
        row = (hold_id, wish.event_id, wish.buyer_id, idempotency_key, fingerprint, wish.seats, general, wish.late)
        told = telling(hold_id, wish.event_id, wish.buyer_id, Correlation(new_id(), None))
        async with request.app.state.pool.acquire() as conn:
            placed = await conn.fetchrow(DECIDE, [row], False, "reservation", [told.event_id], [told.head])
        if placed["refusal"] is not None:
            return JSONResponse(msgspec.json.decode(placed["refusal"]), 409)
        lines = msgspec.json.decode(placed["lines"])
        hold_id = str(placed["hold_id"])
        return Placed(
            hold_id=hold_id,
            order_id=hold_id,
            token=hold_token.issue(["bench"], hold_id),
            state="HELD",
            event_id=wish.event_id,
            buyer_id=placed["buyer_id"],
            lines=[Line(**line) for line in lines],
            total_minor=placed["total_minor"],
            currency=placed["currency"],
            placed_at=placed["placed_at"],
            expires_at=placed["expires_at"],
        )

    return app


if __name__ == "__main__":
    uvicorn.run(
        application(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
