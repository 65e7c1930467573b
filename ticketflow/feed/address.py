"""Where a feed listens: `host:port`, and lists of them as they stand in settings."""

from dataclasses import dataclass

from ticketflow.feed.errors import BadAddress

PORT_MAX = 65535


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One listener. ``host`` is a name or an IP address; ``str()`` gives what ``parse`` reads."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address in ``text``: `name:port`, `1.2.3.4:port` or `[::1]:port`. Raises BadAddress."""
        host, colon, port = text.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        elif ":" in host:
            raise BadAddress(f"address {text!r}: write an IPv6 address in brackets, as in [::1]:7000")
        if not colon or not host or any(letter.isspace() or letter in "/@[]" for letter in host):
            raise BadAddress(f"address {text!r}: expected host:port")
        if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= PORT_MAX):
            raise BadAddress(f"address {text!r}: the port must be a number from 1 to {PORT_MAX}")
        return cls(host, int(port))


def parse_addresses(text: str) -> tuple[Address, ...]:
    """The addresses of `host:port[,host:port]...`, in order, at least one, none twice. Raises BadAddress."""
    addresses = tuple(Address.parse(part) for part in text.split(","))
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            raise BadAddress(f"addresses {text!r}: {address} stands there twice")
    return addresses
