"""The demo: more buyers than seats, all at once; then what became of one sale, and whether the stores agree."""
