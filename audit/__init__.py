"""Whether all stores say the same, and what the ends of all streams say about each other: `python -m audit`.

It looks from outside, into every store, as no service may. Of the services it imports billing's port to the provider,
and billing's hand that writes the ledger, for repairs; nothing else.
"""
