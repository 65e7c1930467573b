"""Drills: faults, buyers and checkers, which together give a verdict."""
