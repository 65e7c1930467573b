"""Reconciliation: seats = orders = ledger = provider = portal, per event. Told by `python -m audit`; docs/money.md.

Laws:
- Looking changes nothing and locks nothing. A repair is asked for by a person, looks again before it acts, and leaves a
  row in delivery_audit of the store in which it acts, in the same transaction.
- What moves money or seats is done by the services' own machinery wherever there is one: a repair stages a command or
  an event, or makes a worker look at once.
- A difference is told when both looks, some seconds apart, have seen it, and nothing about its order has changed for
  longer than events take.
"""
