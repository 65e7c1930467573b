"""All credentials of the cluster: made once, kept for ever, a folder for each tier.

``table`` says what there is, ``recipes`` how each is made, ``authority`` makes certificates, ``files`` keeps them,
``make`` goes through the table.
"""

from stack.credentials.make import make, show

__all__ = ["make", "show"]
