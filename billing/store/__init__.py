"""All of billing's SQL, MariaDB. Every function runs in the caller's transaction and never commits.

Locks are taken in one order: idempotency row, order row, then its payments. What decides anything is a guarded
UPDATE or stands behind ``SELECT ... FOR UPDATE`` of the order's row, whose version every decision moves on: two
writers of a Galera cluster collide there (1213 at COMMIT), and the one that loses runs again.
The clock is the database's: UTC_TIMESTAMP(6), read after the lock where it decides.
"""
