"""Stand-ins for outside parties, as real servers."""
