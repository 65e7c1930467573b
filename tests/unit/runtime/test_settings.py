"""Settings come from the environment or from files; every complaint is made at once, and shows no secret."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from billing.settings import DatabaseSettings as Billing
from bridge.settings import BridgeSettings as Bridge
from portal.settings import DatabaseSettings as Portal
from reservation.settings import DatabaseSettings as Reservation
from ticketflow.runtime.address import Address
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.settings import Secret, host_name, load


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    http_port: int
    key: Secret
    feed: tuple[Address, ...]
    ratio: float = 0.5
    fast: bool = False
    tags: tuple[str, ...] = ()
    cert: Path | None = None
    level: Literal["info", "debug"] = "info"


GOOD = {"X_HTTP_PORT": "80", "X_KEY": "hush", "X_FEED": "a:1,[::1]:2"}


def problems_of(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(Settings, "X", environ)
    return caught.value.problems


@pytest.mark.parametrize("prefix", ["X", "X_", "x"])
def test_each_type_is_read(prefix: str) -> None:
    more = {"X_RATIO": "0.25", "X_FAST": "yes", "X_TAGS": "a, b,", "X_CERT": "/c", "X_LEVEL": "debug"}
    assert load(Settings, prefix, {**GOOD, **more}) == Settings(
        http_port=80,
        key=Secret("hush"),
        feed=(Address("a", 1), Address("::1", 2)),
        ratio=0.25,
        fast=True,
        tags=("a", "b"),
        cert=Path("/c"),
        level="debug",
    )


def test_defaults_stand_in_for_what_is_not_set_or_empty() -> None:
    settings = load(Settings, "X", {**GOOD, "X_FAST": "", "X_CERT": ""})
    assert (settings.fast, settings.cert, settings.ratio) == (False, None, 0.5)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("hush hush\n")
    environ = {**GOOD, "X_KEY": "", "X_KEY_FILE": str(file)}
    assert load(Settings, "X", environ).key == "hush hush"


def test_all_complaints_come_at_once() -> None:
    environ = {"X_HTTP_PORT": "eighty", "X_FEED": "nowhere", "X_FAST": "perhaps", "X_LEVEL": "loud"}
    lines = problems_of(environ)
    assert [line.partition(":")[0].partition(" ")[0] for line in lines] == [
        "X_HTTP_PORT",
        "X_KEY",
        "X_FEED",
        "X_FAST",
        "X_LEVEL",
    ]
    assert lines[0] == "X_HTTP_PORT: 'eighty' is not a whole number"
    assert lines[1] == "X_KEY is not set (nor X_KEY_FILE)"


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    big = tmp_path / "big"
    big.write_bytes(b"x" * 70_000)
    for file, words in (
        (tmp_path / "none", "No such file"),
        (empty, "is empty"),
        (big, "more than"),
        (tmp_path, "Is a"),
    ):
        (line,) = problems_of({**GOOD, "X_KEY": "", "X_KEY_FILE": str(file)})
        assert line.startswith("X_KEY: ")
        assert words in line
    (both,) = problems_of({**GOOD, "X_KEY_FILE": str(empty)})
    assert both == "X_KEY: set either it or X_KEY_FILE, not both"


def test_a_secret_hides_in_reprs() -> None:
    assert "hush" not in repr(load(Settings, "X", GOOD))
    assert str(Secret("hush")) == "hush"


def test_a_dataclass_may_object_to_a_combination() -> None:
    @dataclass(frozen=True)
    class Pair:
        low: int
        high: int = 9

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("P_LOW must not be above P_HIGH")

    assert load(Pair, "P", {"P_LOW": "1"}) == Pair(1, 9)
    with pytest.raises(SettingsError, match="P_LOW must not be above P_HIGH"):
        load(Pair, "P", {"P_LOW": "10"})


@pytest.mark.parametrize("settings", [Bridge, Reservation, Portal, Billing])
def test_who_is_given_no_name_goes_by_the_machines(settings: type[Any]) -> None:
    """In a container its id: the replicas of a service must not be namesakes, who would take each other's lease."""
    assert next(f for f in msgspec.structs.fields(settings) if f.name == "instance").default_factory is host_name
    assert 1 <= len(host_name()) <= 64
