"""Fuzzing: whatever bytes arrive, the feed and the events keep their laws. `python -m tests.fuzz` for longer runs.

A *target* is a function of bytes that raises AssertionError when a law is broken, and returns *words*: what happened.
The same targets are fed by four: the corpus (every test run), hypothesis (a few seconds of every test run), atheris
(coverage-guided, for as long as you like), and whoever has found something (`python -m tests.fuzz replay FILE`).

- ``judge`` knows a well-formed message from docs/feed-protocol.md alone, with the `msgpack` library.
- ``program`` reads bytes as steps of one end of a session; ``laws`` says what must hold after each.
- ``targets`` is the list; ``corpus`` reads, names and keeps entries; ``seeds`` wrote the first of them.
"""
