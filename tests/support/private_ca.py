"""A private CA whose certificates may be of any day, for files that change while somebody uses them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stack.credentials import authority

LONG_AGO, FAR_AHEAD = timedelta(days=-900), timedelta(days=900)  # a certificate lives for 398 days


class PrivateCa:
    """``folder`` takes what it issues."""

    def __init__(self, folder: Path, name: str = "ours") -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.key = authority.private_key()
        self.pem = authority.root_certificate(self.key, datetime.now(UTC))

    def issue(
        self,
        role: str,
        *,
        shifted: timedelta = timedelta(),
        trusts: "Sequence[PrivateCa]" = (),
        hosts: Sequence[str] = ("localhost",),
    ) -> tuple[Path, Path, Path]:
        """Certificate, key and CA of ``role``, good from now on; in the place of those it had before.

        ``shifted``: as if issued that much earlier or later. ``trusts``: whose certificates it takes, if not ours.
        """
        home = self.folder / role
        home.mkdir(exist_ok=True)
        key = authority.private_key()
        uri = f"spiffe://ticketflow/{role}"
        cert = authority.leaf_certificate(key, self.key, self.pem, role, hosts, uri, datetime.now(UTC) + shifted)
        put(home / "feed.key", key)
        put(home / "feed.crt", cert)
        put(home / "ca.crt", "".join(each.pem for each in trusts or (self,)))
        return home / "feed.crt", home / "feed.key", home / "ca.crt"


def put(path: Path, text: str) -> None:
    """Replaces it at once, as whoever renews certificates should."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.rename(path)
