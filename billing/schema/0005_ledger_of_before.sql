-- depends: 0004_money
-- What was captured before there was a ledger: each such payment gets its entry, as it would have been written then.
-- Every statement may be repeated after a crash in the middle of the file. Nobody may be selling by this release yet.

INSERT INTO ledger_entries (at, cause, cause_id, currency, order_id, event_id)
SELECT p.changed_at, 'capture', p.payment_id, p.currency, o.order_id, o.event_id
  FROM payments p JOIN orders o USING (order_id)
 WHERE p.state = 'CAPTURED' AND p.amount_minor > 0
   AND NOT EXISTS (SELECT 1 FROM ledger_entries e WHERE e.cause = 'capture' AND e.cause_id = p.payment_id);

INSERT INTO ledger_postings (entry_id, line, account, amount_minor)
SELECT e.entry_id, two.line, IF(two.line = 0, CONCAT('clearing:', p.provider), CONCAT('sales:', e.event_id)), IF(two.line = 0, p.amount_minor, -p.amount_minor)
  FROM ledger_entries e JOIN payments p ON p.payment_id = e.cause_id JOIN (SELECT 0 AS line UNION ALL SELECT 1) two
 WHERE e.cause = 'capture' AND NOT EXISTS (SELECT 1 FROM ledger_postings l WHERE l.entry_id = e.entry_id);

-- The parts are those of billing/store/ledger.py, part_of.
INSERT INTO ledger_balances (account, currency, part, balance_minor)
SELECT l.account, e.currency, CRC32(e.cause_id) % 16, SUM(l.amount_minor)
  FROM ledger_postings l JOIN ledger_entries e USING (entry_id)
 WHERE l.account LIKE 'clearing:%' OR l.account LIKE 'sales:%'
 GROUP BY 1, 2, 3
ON DUPLICATE KEY UPDATE balance_minor = VALUES(balance_minor);
