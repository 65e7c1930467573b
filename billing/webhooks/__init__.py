"""What providers tell us: stored, then applied by asking them."""
