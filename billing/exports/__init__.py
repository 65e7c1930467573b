"""CSV for bookkeepers."""
