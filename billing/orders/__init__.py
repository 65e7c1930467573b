"""Orders: the rules, and one change of one order with all that follows from it."""
