"""Certificates that are renewed while they are in use; what cannot be used changes nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from stack.credentials import authority
from tests.support.private_ca import FAR_AHEAD, LONG_AGO, PrivateCa, put
from ticketflow.feed import BadTls, Identity, Tls, identity_of, tls_of
from ticketflow.feed.identity import CHECK_EVERY_S


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Files:
    """The files of one service, an Identity that uses them, and what it logs."""

    def __init__(self, folder: Path, lines: list[Any]) -> None:
        self.ca = PrivateCa(folder)
        self.cert, self.key, self.trusted = self.ca.issue("billing")
        self.clock = Clock()
        self.lines = lines
        self.identity = Identity(self.cert, self.key, self.trusted, clock=self.clock)

    def later(self) -> bool:
        """The next look at the files: whether it took others."""
        self.clock.now += CHECK_EVERY_S
        return self.identity.refresh()

    def said(self, action: str) -> list[Any]:
        return [line for line in self.lines if line["event"] == action]


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with capture_logs() as lines:
        yield Files(tmp_path, lines)


def metric(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None, name
    return value


def ends(pem: str) -> float:
    return authority.ends_at(pem).timestamp()


def test_the_certificates_end_is_measured(files: Files) -> None:
    assert metric("feed_tls_ends_timestamp_seconds", what="certificate") == ends(files.cert.read_text())
    assert metric("feed_tls_ends_timestamp_seconds", what="ca") == ends(files.ca.pem)
    assert metric("feed_tls_files_bad") == 0


def test_what_is_the_same_is_not_read_again(files: Files) -> None:
    before = files.identity.server, files.identity.client
    assert not files.later()
    assert (files.identity.server, files.identity.client) == before


def test_a_renewed_pair_is_taken_by_both_roles(files: Files) -> None:
    before = files.identity.server, files.identity.client
    files.ca.issue("billing", shifted=timedelta(days=-1))
    files.clock.now += CHECK_EVERY_S
    assert files.identity.server is not before[0]
    assert files.identity.client is not before[1]
    assert metric("feed_tls_ends_timestamp_seconds", what="certificate") == ends(files.cert.read_text())
    taken = files.said("tls_certificate_taken")[-1]
    assert taken["names"] == ["localhost", "spiffe://ticketflow/billing"]


def test_the_files_are_looked_at_once_a_second_however_many_connect(files: Files) -> None:
    before = files.identity.server
    files.ca.issue("billing")
    files.clock.now += CHECK_EVERY_S / 2
    assert files.identity.server is before
    files.clock.now += CHECK_EVERY_S / 2
    assert files.identity.server is not before


def test_a_certificate_without_its_key_waits_for_it(files: Files) -> None:
    before = files.identity.server
    old_key = files.key.read_text()
    files.ca.issue("billing")
    new_key = files.key.read_text()
    put(files.key, old_key)
    assert not files.later()
    assert files.identity.server is before
    assert metric("feed_tls_files_bad") == 1
    assert not files.later()
    [complaint] = files.said("tls_reload_failed")
    assert complaint["log_level"] == "error"
    assert "with key" in complaint["detail"]

    put(files.key, new_key)
    assert files.later()
    assert metric("feed_tls_files_bad") == 0


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("cert", "feed.crt"),
        ("key", "with key"),
        ("trusted", "CA"),
    ],
)
@pytest.mark.parametrize("how", ["half", "empty", "gone"])
def test_half_a_file_changes_nothing(files: Files, spoilt: str, said: str, how: str) -> None:
    before = files.identity.server
    path: Path = getattr(files, spoilt)
    text = path.read_text()
    path.unlink()
    if how != "gone":
        path.write_text(text[: len(text) // 2] if how == "half" else "")
    assert not files.later()
    assert files.identity.server is before
    [complaint] = files.said("tls_reload_failed")
    assert (path.name if how == "gone" else said) in complaint["detail"]

    put(path, text)
    assert files.later()
    assert metric("feed_tls_files_bad") == 0


@pytest.mark.parametrize(
    ("shifted", "said"), [(LONG_AGO, "it ended at "), (FAR_AHEAD, "it is valid from ")], ids=["ended", "not yet"]
)
def test_a_pair_that_nobody_would_take_is_not_taken(files: Files, shifted: timedelta, said: str) -> None:
    before = files.identity.server
    files.ca.issue("billing", shifted=shifted)
    assert not files.later()
    assert files.identity.server is before
    assert said in files.said("tls_reload_failed")[0]["detail"]


def test_a_pair_of_another_ca_is_not_taken_before_that_ca_is_trusted(files: Files, tmp_path: Path) -> None:
    other = PrivateCa(tmp_path, "other")
    for source, target in zip(other.issue("billing"), (files.cert, files.key), strict=False):
        put(target, source.read_text())
    assert not files.later()
    assert "it is not of the CA that we trust" in files.said("tls_reload_failed")[0]["detail"]
    put(files.trusted, files.ca.pem + other.pem)
    assert files.later()
    assert files.said("tls_certificate_taken")[-1]["ca_certificates"] == 2
    assert metric("feed_tls_ends_timestamp_seconds", what="ca") == ends(other.pem)


def test_another_bundle_is_taken_without_another_certificate(files: Files, tmp_path: Path) -> None:
    before = files.identity.client
    put(files.trusted, files.ca.pem + PrivateCa(tmp_path, "other").pem)
    files.clock.now += CHECK_EVERY_S
    assert files.identity.client is not before


def test_who_starts_with_a_certificate_that_has_ended_says_so_and_starts(tmp_path: Path) -> None:
    with capture_logs() as lines:
        Identity(*PrivateCa(tmp_path).issue("billing", shifted=LONG_AGO))
    [line] = [line for line in lines if line["event"] == "tls_certificate_is_bad"]
    assert line["log_level"] == "error"
    assert line["detail"].startswith("it ended at ")


def test_files_that_cannot_be_used_at_the_start_are_an_error(tmp_path: Path) -> None:
    cert, key, trusted = PrivateCa(tmp_path).issue("billing")
    with pytest.raises(BadTls, match="No such file"):
        Identity(cert, key, tmp_path / "missing")
    with pytest.raises(BadTls, match="with key"):
        Identity(cert, trusted, trusted)


def test_no_line_of_a_key_is_ever_logged(files: Files, capfd: pytest.CaptureFixture[str]) -> None:
    old_key = files.key.read_text()
    files.ca.issue("billing")
    files.later()
    put(files.cert, files.key.read_text())
    files.later()
    put(files.key, old_key[:100])
    files.later()
    put(files.trusted, old_key)
    files.later()
    said = str(files.lines) + "".join(capfd.readouterr()) + str(files.identity.__dict__)
    for text in (old_key, files.ca.key):
        for line in text.splitlines()[1:-1]:
            assert line not in said
    assert len(files.said("tls_reload_failed")) >= 2


def test_settings_make_an_identity_or_none(files: Files) -> None:
    assert identity_of(None, None, None) is None
    assert tls_of(None, ["a"]) is None
    identity = identity_of(files.cert, files.key, files.trusted)
    assert identity is not None
    assert identity.ends_at > datetime.now(UTC)
    tls = tls_of(identity, ["spiffe://ticketflow/portal"])
    assert tls is not None
    assert tls.admits(["portal1", "spiffe://ticketflow/portal"])
    assert not tls.admits(["portal"])
    assert not tls.admits([])
    assert Tls(identity).admits([])
