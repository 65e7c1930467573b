"""What the ends of all streams say about each other: `python -m audit`.

It looks from outside, into every store, as no service may; it imports no service.
"""
