"""Payments: begun by buyers, ended by workers."""
