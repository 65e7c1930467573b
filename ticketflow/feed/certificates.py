"""What certificate files say: until when, for whom, by whom. No key is read here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ticketflow.feed.errors import BadTls


@dataclass(frozen=True)
class Shown:
    """``chain`` is our certificate and what stands behind it in its file; ``ca`` are those that we trust."""

    chain: tuple[x509.Certificate, ...]
    ca: tuple[x509.Certificate, ...]

    @property
    def own(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def ends_at(self) -> datetime:
        return self.own.not_valid_after_utc

    @property
    def ca_ends_at(self) -> datetime:
        """Of the CA that issued ours; of the longest that we trust when it is not among them."""
        issuers = [each for each in self.ca if any(_is_issued_by(link, each) for link in self.chain)]
        return max(each.not_valid_after_utc for each in issuers or self.ca)

    @property
    def names(self) -> tuple[str, ...]:
        """DNS and URI names."""
        try:
            found = self.own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ()
        return (
            *found.get_values_for_type(x509.DNSName),
            *found.get_values_for_type(x509.UniformResourceIdentifier),
        )

    def fault(self, now: datetime) -> str | None:
        """Why our peers, who trust whom we trust, would refuse us at ``now``; None when they would not."""
        if self.own.not_valid_after_utc <= now:
            return f"it ended at {self.own.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
        if self.own.not_valid_before_utc > now:
            return f"it is valid from {self.own.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC only"
        if not any(_is_issued_by(self.own, each) for each in (*self.chain[1:], *self.ca)):
            return "it is not of the CA that we trust"
        return None


def read(chain_pem: bytes, ca_pem: bytes) -> Shown:
    """Raises BadTls."""
    return Shown(_certificates("certificate", chain_pem), _certificates("CA", ca_pem))


def _certificates(what: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        found: Sequence[x509.Certificate] = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise BadTls(f"the file of the TLS {what} holds no certificate, or half of one") from error
    return tuple(found)


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
