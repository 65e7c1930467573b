"""Host and port as settings write them. The one definition is the feed's, which stands alone; this names it here."""

from ticketflow.feed.address import Address, parse_addresses

__all__ = ["Address", "parse_addresses"]
