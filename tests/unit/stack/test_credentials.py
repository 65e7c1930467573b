"""The credentials of a cluster, as its tiers find them."""

import fcntl
import inspect
import os
import re
import ssl
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg.connect_utils
import psycopg.conninfo
import pytest
from aiormq import Connection
from yarl import URL

from stack import credentials
from stack.__main__ import main
from stack.account import is_root
from stack.credentials import authority
from stack.credentials.recipes import Certificate, Password
from stack.credentials.table import MOUNTED_AT, TIERS, places
from stack.errors import StackError
from ticketflow.events.topology import Topology
from ticketflow.feed import client_context, server_context
from ticketflow.feed.identity import Identity
from ticketflow.feed.tls import peer_names
from ticketflow.runtime.amqp import Broker
from ticketflow.runtime.amqp_tls import node_tls
from ticketflow.runtime.postgres_driver import hosts_of

NOW = datetime.now(UTC)
FEEDS = ("reservation", "billing", "bridge", "portal")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For tests that only look."""
    into = tmp_path_factory.mktemp("credentials")
    credentials.make(into)
    return into


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """For tests that change something."""
    credentials.make(tmp_path)
    return tmp_path


def everything(into: Path) -> dict[str, str]:
    return {str(path.relative_to(into)): path.read_text() for path in into.rglob("*") if path.is_file()}


def replace(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


# -- what there is


def test_each_credential_of_the_table_is_there_and_nothing_else(made: Path) -> None:
    assert everything(made).keys() == {place for place, _tier, _recipe in places()}


def test_every_source_stands_above_what_is_made_of_it() -> None:
    above: set[str] = set()
    for place, _tier, recipe in places():
        assert set(recipe.sources) <= above, place
        above.add(place)


def test_no_tier_sees_the_key_of_the_ca(made: Path) -> None:
    key = (made / "ca/ca.key").read_text()
    assert [place for place, text in everything(made).items() if text == key] == ["ca/ca.key"]


def test_a_password_needs_no_quoting_anywhere_and_is_the_only_one_of_its_kind(made: Path) -> None:
    passwords = [(made / place).read_text() for place, _tier, recipe in places() if isinstance(recipe, Password)]
    assert all(len(text) == 32 and set(text) <= set(string.ascii_letters + string.digits) for text in passwords)
    assert len(set(passwords)) == len(passwords)


@pytest.mark.parametrize(
    ("copy", "home"),
    [
        ("billing/database-password", "mariadb/billing-password"),
        ("proxysql/billing-password", "mariadb/billing-password"),
        ("proxysql/monitor-password", "mariadb/monitor-password"),
        ("billing/hold-token-keys", "reservation/hold-token-keys"),
        ("portal/admin-key", "reservation/admin-key"),
        ("portal/hold-token-keys", "reservation/hold-token-keys"),
        ("billing/provider-key", "provider/provider-key"),
        ("billing/webhook-secrets", "provider/webhook-secrets"),
        ("auditor/rabbitmq-password", "rabbitmq/admin-password"),
        ("portal/ca.crt", "ca/ca.crt"),
    ],
)
def test_who_shares_a_secret_has_the_same(made: Path, copy: str, home: str) -> None:
    assert (made / copy).read_text() == (made / home).read_text()


def test_only_its_owner_can_read_a_file(made: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in made.rglob("*") if path.is_file()} == {0o400}


def test_a_folder_and_its_files_belong_to_the_tiers_user(made: Path) -> None:
    for tier in TIERS:
        folder = made / tier.name
        owner = tier.uid if is_root() else os.geteuid()
        assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {owner}
        assert folder.stat().st_mode & 0o777 == (0o500 if is_root() and tier.uid else 0o700)


# -- made once


def test_a_second_run_changes_nothing(into: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(into)
    credentials.make(into)
    assert everything(into) == before
    assert f"credentials: 0 made, {len(before)} were there, in {into}\n" in capsys.readouterr().out


def test_what_is_missing_is_added_and_the_rest_stays(into: Path) -> None:
    before = everything(into)
    for place in ("portal/database-dsn", "monitoring/grafana-password", "bridge/feed.crt"):
        (into / place).unlink()
    credentials.make(into)
    after = everything(into)
    assert after.keys() == before.keys()
    assert {place for place in after if after[place] != before[place]} == {
        "monitoring/grafana-password",
        "bridge/feed.crt",
    }


def test_what_a_killed_run_left_behind_is_no_obstacle(into: Path) -> None:
    (into / "portal/.amqps-url.new").write_text("amq")
    (into / "portal/amqps-url").unlink()
    credentials.make(into)
    assert not (into / "portal/.amqps-url.new").exists()
    assert (into / "portal/amqps-url").read_text().startswith("amqps://portal:")


def test_what_a_person_has_put_there_is_kept_and_said(into: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(into / "reservation/hold-token-keys", "new,old")
    credentials.make(into)
    assert (into / "reservation/hold-token-keys").read_text() == "new,old"
    said = capsys.readouterr().out
    assert "billing/hold-token-keys is kept, but not what reservation/hold-token-keys would make" in said


@pytest.mark.parametrize(
    ("lost", "dependant"),
    [("postgres/portal-password", "portal/database-dsn"), ("ca/ca.key", "ca/ca.crt"), ("bridge/feed.key", "bridge/")],
)
def test_what_others_were_made_from_is_not_made_anew(into: Path, lost: str, dependant: str) -> None:
    (into / lost).unlink()
    with pytest.raises(StackError, match=f"{lost} is gone, but {dependant}.* was made from it"):
        credentials.make(into)
    assert not (into / lost).exists()


def test_two_runs_at_once_are_refused(into: Path) -> None:
    other = os.open(into / "ca", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(StackError, match="another run"):
        credentials.make(into)
    os.close(other)


# -- certificates


@pytest.mark.parametrize(
    ("place", "hosts"),
    [
        ("postgres/tls.crt", ["postgres1", "postgres2", "postgres3", "haproxy1", "haproxy2", "localhost"]),
        ("etcd/tls.crt", ["etcd1", "etcd2", "etcd3", "localhost"]),
        ("rabbitmq/tls.crt", ["rabbitmq1", "rabbitmq2", "rabbitmq3"]),
        ("reservation/feed.crt", ["reservation1", "reservation2", "reservation"]),
        ("billing/feed.crt", ["billing-listener1", "billing-listener2", "billing-listener"]),
        ("bridge/feed.crt", ["bridge1", "bridge2", "bridge"]),
        ("portal/feed.crt", ["portal1", "portal2", "portal"]),
    ],
)
def test_a_certificate_names_its_hosts_and_its_role(made: Path, place: str, hosts: list[str]) -> None:
    role = place.split("/")[0]
    assert authority.names((made / place).read_text()) == (hosts, [f"spiffe://ticketflow/{role}"])


def test_a_certificate_lives_for_398_days_and_the_ca_for_ten_years(made: Path) -> None:
    lives = {name: authority.ends_at((made / name).read_text()) - NOW for name in ("ca/ca.crt", "etcd/tls.crt")}
    assert lives["etcd/tls.crt"].days in (397, 398)
    assert lives["ca/ca.crt"].days in (3649, 3650)


@pytest.mark.parametrize("days", [369, 398, 500])
def test_a_certificate_is_renewed_for_the_same_key_before_it_ends(
    into: Path, capsys: pytest.CaptureFixture[str], days: int
) -> None:
    before = everything(into)
    credentials.make(into, NOW + timedelta(days=days))
    after = everything(into)
    certificates = {place for place, _tier, recipe in places() if isinstance(recipe, Certificate)}
    assert {place for place in after if after[place] != before[place]} == certificates
    assert authority.ends_at(after["etcd/tls.crt"]) > NOW + timedelta(days=days + 390)
    assert re.search(r"etcd/tls.crt is renewed: it ends on \d{4}-\d\d-\d\d; .* next start", capsys.readouterr().out)


def test_a_certificate_far_from_its_end_stays(into: Path) -> None:
    before = everything(into)
    credentials.make(into, NOW + timedelta(days=360))
    assert everything(into) == before


def test_a_certificate_without_a_name_that_the_table_has_is_made_again(into: Path) -> None:
    texts = everything(into)
    old = Certificate("bridge/feed.key", "bridge", ("bridge1",))
    replace(into / "bridge/feed.crt", old.make([texts[source] for source in old.sources], NOW))
    credentials.make(into)
    assert authority.names((into / "bridge/feed.crt").read_text())[0] == ["bridge1", "bridge2", "bridge"]


def test_a_certificate_of_another_ca_is_kept(into: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = (made / "bridge/feed.crt").read_text()
    replace(into / "bridge/feed.crt", foreign)
    credentials.make(into, NOW + timedelta(days=500))
    assert (into / "bridge/feed.crt").read_text() == foreign
    assert "bridge/feed.crt is kept, but not issued by our CA for its key" in capsys.readouterr().out


def test_a_ca_that_ends_soon_is_kept_and_said(into: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (into / "ca/ca.crt").read_text()
    credentials.make(into, NOW + timedelta(days=3640))
    assert (into / "ca/ca.crt").read_text() == before
    assert "ca/ca.crt is kept, but the CA ends on" in capsys.readouterr().out


def test_another_ca_takes_over_in_three_steps(into: Path) -> None:
    """In each step all that run, with the files of the step before, and all that were restarted can talk."""
    leaf = Certificate("bridge/feed.key", "bridge", ("bridge1",))
    old_ca, new_key = (into / "ca/ca.crt").read_text(), authority.private_key()
    new_ca = authority.root_certificate(new_key, NOW)
    before = everything(into)

    replace(into / "ca/ca.crt", old_ca + new_ca)
    credentials.make(into)
    trusting_both = everything(into)
    assert {place for place in before if before[place] != trusting_both[place]} == {
        place for place in before if place.endswith("ca.crt")
    }
    assert trusting_both["bridge/ca.crt"] == old_ca + new_ca

    replace(into / "ca/ca.key", new_key)
    replace(into / "ca/ca.crt", new_ca + old_ca)
    credentials.make(into)
    moved = everything(into)
    for place, _tier, recipe in places():
        if isinstance(recipe, Certificate):
            assert authority.is_issued_by(moved[place], new_ca), place
            assert authority.is_of_key(moved[place], before[recipe.key]), "the key stays"

    replace(into / "ca/ca.crt", new_ca)
    credentials.make(into)
    assert everything(into) == moved | {place: new_ca for place in moved if place.endswith("ca.crt")}
    assert leaf.fault(moved["bridge/feed.crt"], [moved["bridge/feed.key"], new_key, old_ca], NOW) is not None


def test_a_ca_of_somebody_else_in_a_tier_is_kept(into: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = authority.root_certificate(authority.private_key(), NOW)
    replace(into / "portal/ca.crt", theirs)
    credentials.make(into)
    assert (into / "portal/ca.crt").read_text() == theirs
    assert "portal/ca.crt is kept, but not the same as ca/ca.crt" in capsys.readouterr().out


def test_a_spoilt_certificate_is_named(into: Path) -> None:
    replace(into / "etcd/tls.crt", "-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(StackError, match=r"etcd/tls\.crt or .* cannot be used"):
        credentials.make(into)


# -- what the programs make of them


def files(into: Path, tier: str, stem: str = "feed") -> tuple[Path, Path, Path]:
    return into / tier / f"{stem}.crt", into / tier / f"{stem}.key", into / tier / "ca.crt"


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> tuple[str, ...]:
    """TLS between two contexts in memory; gives the names that the server sees. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
            last = end
    return peer_names(last.getpeercert())


@pytest.mark.parametrize(
    ("sender", "receiver", "host"),
    [
        ("reservation", "billing", "billing-listener1"),
        ("reservation", "billing", "billing-listener2"),
        ("billing", "bridge", "bridge1"),
        ("billing", "bridge", "bridge2"),
        ("portal", "reservation", "reservation1"),
        ("portal", "reservation", "reservation2"),
    ],
)
def test_each_feed_opens_under_the_names_that_are_dialled(made: Path, sender: str, receiver: str, host: str) -> None:
    seen = shake_hands(client_context(*files(made, sender)), server_context(*files(made, receiver)), host)
    assert f"spiffe://ticketflow/{sender}" in seen


@pytest.mark.parametrize("client", ["bridge", "portal"])
@pytest.mark.parametrize("host", ["rabbitmq1", "rabbitmq2", "rabbitmq3"])
def test_each_node_of_rabbitmq_is_reached_under_its_name(made: Path, client: str, host: str) -> None:
    node = server_context(*files(made, "rabbitmq", "tls"))
    assert f"spiffe://ticketflow/{client}" in shake_hands(client_context(*files(made, client)), node, host)


def test_a_process_takes_what_a_later_run_renews(tmp_path: Path) -> None:
    credentials.make(tmp_path, NOW - timedelta(days=380))
    clock = iter(range(10_000))
    receiver, sender = (
        Identity(*files(tmp_path, tier), clock=lambda: next(clock)) for tier in ("billing", "reservation")
    )
    before = receiver.ends_at
    assert main(["credentials", "--into", str(tmp_path)]) == 0
    assert "spiffe://ticketflow/reservation" in shake_hands(sender.client, receiver.server, "billing-listener1")
    assert min(receiver.ends_at, sender.ends_at) > before + timedelta(days=379)


def test_a_receiver_with_another_name_is_refused(made: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(client_context(*files(made, "billing")), server_context(*files(made, "portal")), "bridge1")


def test_a_receiver_of_another_ca_is_refused(made: Path, into: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        shake_hands(client_context(*files(made, "billing")), server_context(*files(into, "bridge")), "bridge1")


def test_a_sender_of_another_ca_is_refused(made: Path, into: Path, tmp_path: Path) -> None:
    cert, key, _its_own_ca = files(into, "billing")
    sender = client_context(cert, key, made / "ca/ca.crt")
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        shake_hands(sender, server_context(*files(made, "bridge")), "bridge1")


@pytest.mark.parametrize(
    ("place", "user", "database", "port"),
    [
        ("reservation/database-dsn", "reservation", "reservation", 5432),
        ("reservation/database-replica-dsn", "reservation", "reservation", 5433),
        ("portal/database-dsn", "portal", "portal", 5432),
        ("auditor/reservation-dsn", "audit", "reservation", 5432),
        ("auditor/portal-dsn", "audit", "portal", 5432),
    ],
)
def test_a_dsn_means_the_same_to_every_driver(made: Path, place: str, user: str, database: str, port: int) -> None:
    tier = place.split("/")[0]
    dsn = (made / place).read_text().replace(MOUNTED_AT, str(made / tier))
    password = (made / f"postgres/{user}-password").read_text()
    hosts = [("haproxy1", port), ("haproxy2", port)]

    assert list(hosts_of(dsn)) == hosts
    assert psycopg.conninfo.conninfo_to_dict(dsn) == {
        "user": user,
        "password": password,
        "host": "haproxy1,haproxy2",
        "port": f"{port},{port}",
        "dbname": database,
        "sslmode": "verify-full",
        "sslrootcert": str(made / tier / "ca.crt"),
    }
    parse = asyncpg.connect_utils._parse_connect_dsn_and_args  # type: ignore[attr-defined]
    nothing_else = dict.fromkeys(inspect.signature(parse).parameters)
    addresses, parameters = parse(**nothing_else | {"dsn": dsn})
    assert addresses == hosts
    assert (parameters.user, parameters.password, parameters.database) == (user, password, database)

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files(made, "postgres", "tls")[:2])
    for host, _port in hosts:
        shake_hands(parameters.ssl, server, host)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(parameters.ssl, server, "elsewhere")


@pytest.mark.parametrize("user", ["bridge", "portal"])
def test_an_amqp_url_names_every_node(made: Path, user: str) -> None:
    text = (made / user / "amqps-url").read_text()
    nodes = node_tls(Identity(*files(made, user)), [f"spiffe://ticketflow/{user}"])
    urls = [URL(str(url)) for url in Broker(text, Topology((), (), ()), name="test", tls=nodes)._urls]
    assert [url.host for url in urls] == ["rabbitmq1", "rabbitmq2", "rabbitmq3"]
    for url in urls:
        assert (url.user, url.password) == (user, (made / f"rabbitmq/{user}-password").read_text())
        assert (url.scheme, url.port, url.query["heartbeat"]) == ("amqps", 5671, "5")


async def test_an_amqp_url_means_the_vhost_slash(made: Path) -> None:
    assert Connection((made / "bridge/amqps-url").read_text().split(",")[0]).vhost == "/"


# -- the command


def test_the_command_makes_and_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["credentials", "--into", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["credentials", "--into", str(tmp_path), "--show", "monitoring/grafana-password"]) == 0
    assert capsys.readouterr().out == (tmp_path / "monitoring/grafana-password").read_text() + "\n"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("monitoring/grafana-password", "is not made yet"),
        ("monitoring/other", "there is no credential monitoring/other; there are: ca/ca.key, "),
        ("../../etc/passwd", "there is no credential"),
    ],
)
def test_what_cannot_be_shown_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, said: str
) -> None:
    assert main(["credentials", "--into", str(tmp_path), "--show", place]) == 1
    assert said in capsys.readouterr().err
