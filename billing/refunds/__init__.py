"""Refunds of tickets, orders and whole events."""
