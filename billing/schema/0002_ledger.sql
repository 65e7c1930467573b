-- The ledger: double entry, in minor units; a debit is above zero, a credit below. Causes and accounts: docs/money.md.
-- DDL commits by itself here: every statement may be repeated after a crash in the middle of the file.

CREATE TABLE IF NOT EXISTS ledger_entries (
    entry_id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Of one account, in the order of writing: it is given while the row of its balance is locked.',
    at       DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When, UTC, by the clock of this database.',
    cause    VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'What happened; see billing/ledger/entries.py.',
    cause_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'To what: the payment, refund, top-up, ...',
    currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'ISO 4217; of all its lines.',
    order_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'The order it was for, if for one.',
    event_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'The event it was for, if for one.',
    evidence VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'Of a top-up: the verified webhook it rests on.',
    note     VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'Of a correction, or of credits frozen for a dispute: why.',
    PRIMARY KEY (entry_id),
    UNIQUE KEY ledger_entries_once (cause, cause_id),
    UNIQUE KEY ledger_entries_evidence (cause, evidence),
    KEY ledger_entries_event (event_id, entry_id),
    CONSTRAINT ledger_entries_topup CHECK ((cause = 'topup') = (evidence IS NOT NULL)),
    CONSTRAINT ledger_entries_correction CHECK (cause <> 'correction' OR note IS NOT NULL)
) ENGINE = InnoDB COMMENT = 'Every movement of money, once for each cause. Never changed or deleted.';

CREATE TABLE IF NOT EXISTS ledger_postings (
    entry_id     BIGINT NOT NULL COMMENT 'The entry.',
    line         TINYINT UNSIGNED NOT NULL COMMENT 'From 0.',
    account      VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Kind and owner, as in wallet:buyer-1; see billing/ledger/accounts.py.',
    amount_minor BIGINT NOT NULL COMMENT 'Debit above zero, credit below; an entry sums to nothing.',
    PRIMARY KEY (entry_id, line),
    UNIQUE KEY ledger_postings_account (account, entry_id, amount_minor),
    CONSTRAINT ledger_postings_amount CHECK (amount_minor <> 0),
    CONSTRAINT ledger_postings_entry FOREIGN KEY (entry_id) REFERENCES ledger_entries (entry_id)
) ENGINE = InnoDB COMMENT = 'The lines of the entries. Never changed or deleted.';

CREATE TABLE IF NOT EXISTS ledger_balances (
    account       VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'As in the postings.',
    currency      CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'ISO 4217.',
    part          TINYINT UNSIGNED NOT NULL COMMENT 'A buyer''s account has part 0 only. One that many buyers share is the sum of its parts: they do not wait for each other.',
    balance_minor BIGINT NOT NULL COMMENT 'Sum of the postings, changed in their transaction.',
    PRIMARY KEY (account, currency, part),
    CONSTRAINT ledger_balances_held CHECK (SUBSTRING_INDEX(account, ':', 1) NOT IN ('wallet', 'frozen') OR (balance_minor <= 0 AND part = 0))
) ENGINE = InnoDB COMMENT = 'What stands on each account; derived, and audited against the postings. A buyer''s money is a credit and never less than nothing.';

-- One statement each, without BEGIN and END. TRUNCATE and DROP pass them by: those are for whoever owns the database.
CREATE TRIGGER IF NOT EXISTS ledger_entries_keep BEFORE UPDATE ON ledger_entries FOR EACH ROW
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'entries of the ledger are never changed: write a correction';
CREATE TRIGGER IF NOT EXISTS ledger_entries_stay BEFORE DELETE ON ledger_entries FOR EACH ROW
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'entries of the ledger are never deleted: write a correction';
CREATE TRIGGER IF NOT EXISTS ledger_postings_keep BEFORE UPDATE ON ledger_postings FOR EACH ROW
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'postings of the ledger are never changed: write a correction';
CREATE TRIGGER IF NOT EXISTS ledger_postings_stay BEFORE DELETE ON ledger_postings FOR EACH ROW
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'postings of the ledger are never deleted: write a correction';
