"""Two ends in memory that do not agree: what each finds wrong, in our words."""

import ssl
from pathlib import Path

import pytest

from tests.support.private_ca import FAR_AHEAD, LONG_AGO, PrivateCa
from ticketflow.feed import client_context, server_context
from ticketflow.feed.tls import last_words
from ticketflow.feed.tls_faults import Fault, Found, fault_of, not_allowed

HOST = "127.0.0.1"


class Ends:
    """A receiver and a sender; what each of them has against the other after the handshake."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, host: str = HOST) -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.receiver = self.sender = None
        ends = {
            "sender": client.wrap_bio(to_client, to_server, server_hostname=host),
            "receiver": server.wrap_bio(to_server, to_client, server_side=True),
        }
        outgoing = {"sender": to_server, "receiver": to_client}
        found: dict[str, Found] = {}
        for _ in range(6):
            for name, end in ends.items():
                if name in found:
                    continue
                try:
                    end.do_handshake()
                    end.read(1)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    continue
                except ssl.SSLError as error:
                    outgoing[name].write(last_words(error))  # which asyncio does not do
                    found[name] = fault_of(error)
        self.sender, self.receiver = found.get("sender"), found.get("receiver")


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCa:
    return PrivateCa(tmp_path)


def fault(found: Found | None) -> tuple[Fault, bool] | None:
    return None if found is None else (found.fault, found.by_peer)


def test_two_that_trust_each_other_have_nothing_to_say(ca: PrivateCa) -> None:
    ends = Ends(server_context(*ca.issue("billing")), client_context(*ca.issue("reservation")))
    assert (ends.sender, ends.receiver) == (None, None)


@pytest.mark.parametrize(
    ("shifted", "found", "told"),
    [(LONG_AGO, Fault.EXPIRED, Fault.EXPIRED), (FAR_AHEAD, Fault.NOT_YET_VALID, Fault.BAD_CERTIFICATE)],
    ids=["expired", "not yet valid"],
)
def test_a_certificate_of_another_day(ca: PrivateCa, shifted: object, found: Fault, told: Fault) -> None:
    wrong = ca.issue("wrong", shifted=shifted)  # type: ignore[arg-type]
    ends = Ends(server_context(*ca.issue("billing")), client_context(*wrong))
    assert (fault(ends.receiver), fault(ends.sender)) == ((found, False), (told, True))
    ends = Ends(server_context(*wrong), client_context(*ca.issue("reservation")))
    assert (fault(ends.sender), fault(ends.receiver)) == ((found, False), (told, True))


def test_a_certificate_of_another_ca(ca: PrivateCa, tmp_path: Path) -> None:
    foreign = PrivateCa(tmp_path, "theirs").issue("foreign", trusts=[ca])
    ends = Ends(server_context(*ca.issue("billing")), client_context(*foreign))
    assert (fault(ends.receiver), fault(ends.sender)) == ((Fault.UNKNOWN_CA, False), (Fault.UNKNOWN_CA, True))
    ends = Ends(server_context(*foreign), client_context(*ca.issue("reservation")))
    assert (fault(ends.sender), fault(ends.receiver)) == ((Fault.UNKNOWN_CA, False), (Fault.UNKNOWN_CA, True))


def test_no_certificate(ca: PrivateCa) -> None:
    cert, key, trusted = ca.issue("billing")
    ends = Ends(server_context(cert, key, trusted), ssl.create_default_context(cafile=str(trusted)))
    assert (fault(ends.receiver), fault(ends.sender)) == ((Fault.NO_CERTIFICATE, False), (Fault.NO_CERTIFICATE, True))


def test_a_receiver_of_another_name(ca: PrivateCa) -> None:
    ends = Ends(server_context(*ca.issue("billing")), client_context(*ca.issue("reservation")), host="bridge1")
    assert fault(ends.sender) == (Fault.WRONG_HOST, False)
    assert fault(ends.receiver) == (Fault.BAD_CERTIFICATE, True)


def test_an_older_tls(ca: PrivateCa) -> None:
    server, client = server_context(*ca.issue("billing")), client_context(*ca.issue("reservation"))
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_2
    ends = Ends(server, client)
    assert (fault(ends.receiver), fault(ends.sender)) == ((Fault.OLD_TLS, False), (Fault.OLD_TLS, True))


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"PUT / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x25\x97\xa5hello", b"\xff" * 100]
)
def test_no_tls_at_all(ca: PrivateCa, said: bytes) -> None:
    incoming = ssl.MemoryBIO()
    end = server_context(*ca.issue("billing")).wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    incoming.write(said)
    with pytest.raises(ssl.SSLError) as raised:
        end.do_handshake()
    assert fault(fault_of(raised.value)) == (Fault.PLAIN_TEXT, False)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ConnectionResetError("Connection lost"), Fault.CUT),
        (ConnectionAbortedError("SSL handshake is taking longer than 3.0 seconds: aborting"), Fault.TIMEOUT),
        (TimeoutError(), Fault.TIMEOUT),
        (ssl.SSLError(1, "[SSL: SOMETHING_NEW] something new"), Fault.OTHER),
        (ValueError("x"), Fault.OTHER),
    ],
)
def test_other_ends_of_a_handshake(error: Exception, found: Fault) -> None:
    assert fault_of(error).fault is found


def test_names_of_a_certificate_are_shown_within_bounds() -> None:
    found = not_allowed(tuple(f"{number}" + "x" * 300 for number in range(100)))
    assert found.fault is Fault.NOT_ALLOWED
    assert len(found.text) < 1100
    assert not_allowed(()).text == "it is none of those that we want there; its certificate names nobody"
