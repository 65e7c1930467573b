"""Each goal of performance is one command: ``python -m bench NAME``, which measures ours and its peer, or its ceiling.

Laws of this package:
- A figure is never told alone: ours and the other side run by turns, and the goal is a ratio.
- Durability is what production has: fsync, synchronous commits, confirms. A bench that turns one off is wrong.
- A bench checks what it measured: nothing lost, nothing twice, nothing oversold; else it fails and has no figure.
"""
