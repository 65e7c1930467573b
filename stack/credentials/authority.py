"""The private CA: keys and certificates as PEM text. No file and no clock here."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_DAYS = 3650
LEAF_DAYS = 398  # the most that browsers and Apple's libraries take from anybody
CLOCKS_DIFFER = timedelta(hours=1)  # valid from a little earlier, for a machine whose clock is behind
ORGANISATION = "TicketFlow"


def private_key() -> str:
    """An ECDSA P-256 key: every client here knows the curve, and a handshake costs a tenth of RSA's."""
    key = ec.generate_private_key(ec.SECP256R1())
    unencrypted = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted).decode()


def root_certificate(key_pem: str, now: datetime) -> str:
    """Of the CA itself: it may sign leaves, and nothing that signs in turn."""
    key = _key(key_pem)
    name = _name("private CA")
    builder = _builder(name, name, key.public_key(), now, ROOT_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return _signed(builder, key)


def leaf_certificate(
    key_pem: str, ca_key_pem: str, ca_pem: str, name: str, dns: Sequence[str], uri: str, now: datetime
) -> str:
    """For the server's side and the client's: most of ours are both. The CN is the role: etcd takes it for a user."""
    ca = x509.load_pem_x509_certificate(ca_pem.encode())
    ca_key = _key(ca_key_pem)
    builder = _builder(_name(name), ca.subject, _key(key_pem).public_key(), now, LEAF_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = builder.add_extension(both, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    names = [*(x509.DNSName(each) for each in dns), x509.UniformResourceIdentifier(uri)]
    if "localhost" in dns:  # a client on the same machine may say it in numbers
        names.append(x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _signed(builder, ca_key)


def bundle(pem: str) -> list[str]:
    """The certificates in it, each by itself, in its order."""
    found = x509.load_pem_x509_certificates(pem.encode())
    return [each.public_bytes(serialization.Encoding.PEM).decode() for each in found]


def ends_at(pem: str) -> datetime:
    return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc


def names(pem: str) -> tuple[list[str], list[str]]:
    """The DNS names and the URIs of a certificate."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], []
    return found.get_values_for_type(x509.DNSName), found.get_values_for_type(x509.UniformResourceIdentifier)


def is_issued_by(pem: str, ca_pem: str) -> bool:
    certificate, ca = (x509.load_pem_x509_certificate(text.encode()) for text in (pem, ca_pem))
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def is_of_key(pem: str, key_pem: str) -> bool:
    return x509.load_pem_x509_certificate(pem.encode()).public_key() == _key(key_pem).public_key()


def _key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an ECDSA key")
    return key


def _name(common: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION)
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - CLOCKS_DIFFER).not_valid_after(now + timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> str:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
