"""What every process needs round its work: settings, logs, HTTP, pools, migrations, start and drain.

Laws of this package:
- It knows no service, no event and no feed; they know it.
- Every wait has a deadline, every queue a bound, and the name of each says its unit.
- A fault of a store has one of two meanings, and nothing in between: ``Unavailable`` (it did not happen) or
  ``Indefinite`` (it may have happened).
- aiohttp's server is known to ``ticketflow.runtime.http`` only.
"""
