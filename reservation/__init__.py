"""reservation: who has which seat. The source of truth about availability."""
