"""Buyers' credits: seen, bought, frozen in dispute."""
