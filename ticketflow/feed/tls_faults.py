"""What is wrong when TLS fails, in words of ours: a table from OpenSSL's, for the log, the metric and the error.

No I/O here. `ours` found the fault in what the peer showed; `theirs` was told by the peer about what we showed.
"""

import ssl
from dataclasses import dataclass
from enum import StrEnum

NAMES_SHOWN_MAX = 8  # of a certificate, in a log line
NAME_CHARS_SHOWN_MAX = 120


class Fault(StrEnum):
    """The label of metrics and the `reason` of log lines."""

    NO_CERTIFICATE = "no_certificate"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    UNKNOWN_CA = "unknown_ca"
    NOT_ALLOWED = "not_allowed"  # of our CA, and none of those that we want there
    WRONG_HOST = "wrong_host"  # the receiver's certificate does not name the host that was dialled
    BAD_CERTIFICATE = "bad_certificate"  # anything else about it
    OLD_TLS = "old_tls"
    PLAIN_TEXT = "plain_text"
    CUT = "cut"  # closed in the middle: a port scan, or a sender that does not trust us
    TIMEOUT = "timeout"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Found:
    """``by_peer``: the peer says so of us; else we of him. ``text`` is for people, in one line."""

    fault: Fault
    by_peer: bool
    text: str


# X509_V_ERR_*, of openssl/x509_vfy.h
_VERIFY = {
    9: (Fault.NOT_YET_VALID, "its certificate is not yet valid: is a clock wrong?"),
    10: (Fault.EXPIRED, "its certificate has expired"),
    **dict.fromkeys((2, 7, 18, 19, 20, 21), (Fault.UNKNOWN_CA, "its certificate is not of our CA")),
    **dict.fromkeys((62, 64), (Fault.WRONG_HOST, "its certificate does not name the host that was dialled")),
}

# SSL_R_*, what we found ourselves
_FOUND = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (Fault.NO_CERTIFICATE, "it shows no certificate"),
    "UNSUPPORTED_PROTOCOL": (Fault.OLD_TLS, "it does not speak TLS 1.3"),
    "WRONG_SSL_VERSION": (Fault.OLD_TLS, "it does not speak TLS 1.3"),
    "VERSION_TOO_LOW": (Fault.OLD_TLS, "it does not speak TLS 1.3"),
    **dict.fromkeys(
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNEXPECTED_MESSAGE", "PACKET_LENGTH_TOO_LONG"),
        (Fault.PLAIN_TEXT, "it speaks no TLS"),
    ),
}

# Alerts (RFC 8446, 6.2) by what OpenSSL calls them, without the prefix of the version they are from
_TOLD = {
    "CERTIFICATE_REQUIRED": (Fault.NO_CERTIFICATE, "it wants a certificate, and we showed none"),
    "CERTIFICATE_EXPIRED": (Fault.EXPIRED, "it says that our certificate has expired"),
    "UNKNOWN_CA": (Fault.UNKNOWN_CA, "it says that our certificate is not of its CA"),
    "BAD_CERTIFICATE": (
        Fault.BAD_CERTIFICATE,
        "it refuses our certificate (not yet valid, or a wrong name): see its log",
    ),
    "UNSUPPORTED_CERTIFICATE": (Fault.BAD_CERTIFICATE, "it says that our certificate is not made for this"),
    "CERTIFICATE_REVOKED": (Fault.BAD_CERTIFICATE, "it says that our certificate is revoked"),
    "CERTIFICATE_UNKNOWN": (Fault.BAD_CERTIFICATE, "it refuses our certificate: see its log"),
    "ACCESS_DENIED": (Fault.NOT_ALLOWED, "it says that we are not allowed"),
    "PROTOCOL_VERSION": (Fault.OLD_TLS, "it speaks no TLS version that we do: we want 1.3"),
}


def fault_of(error: BaseException) -> Found:
    """What is behind an error of a TLS connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        unknown = (Fault.BAD_CERTIFICATE, f"its certificate is not taken: {error.verify_message}")
        return _found(*_VERIFY.get(error.verify_code, unknown))
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _found(Fault.CUT, "it closed the connection in the TLS handshake")
    if isinstance(error, ssl.SSLError):
        return _of_reason(getattr(error, "reason", None) or "", str(error))
    if isinstance(error, TimeoutError) or "handshake is taking longer" in str(error):
        return _found(Fault.TIMEOUT, "it did not finish the TLS handshake in time")
    if isinstance(error, OSError | EOFError | StopAsyncIteration):
        return _found(Fault.CUT, "it closed the connection in the TLS handshake; perhaps it does not trust us")
    return _found(Fault.OTHER, str(error))


def not_allowed(names: tuple[str, ...]) -> Found:
    """The certificate is of our CA and has ``names``, none of which we want at the other end."""
    return _found(
        Fault.NOT_ALLOWED,
        f"it is none of those that we want there; its certificate names {', '.join(shown(names)) or 'nobody'}",
    )


def shown(names: tuple[str, ...]) -> list[str]:
    """As many of a certificate's names as a log line can take."""
    return [name[:NAME_CHARS_SHOWN_MAX] for name in names[:NAMES_SHOWN_MAX]]


def _of_reason(reason: str, said: str) -> Found:
    if "_ALERT_" in reason:
        fault, text = _TOLD.get(reason.split("_ALERT_", 1)[1], (Fault.OTHER, f"it says: {said}"))
        return Found(fault, by_peer=True, text=text)
    return _found(*_FOUND.get(reason, (Fault.OTHER, said)))


def _found(fault: Fault, text: str) -> Found:
    return Found(fault, by_peer=False, text=text)
