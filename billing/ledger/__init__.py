"""The ledger's law: accounts, causes, entries that balance. Where they are kept: billing/store/ledger.py."""
