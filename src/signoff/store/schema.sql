-- Signoff's durable state: the receipts, and what moves together with them.
--
-- Written for SQLite; PostgreSQL takes the same tables when BLOB is read as BYTEA, INTEGER as
-- BIGINT, and STRICT and the triggers at the end are left out (rules there are REVOKEs).
-- Times are milliseconds since the epoch (UTC). `at` is the index of the receipt that was
-- written in the same transaction. A column called `sealed` is encrypted with the vault's key.

CREATE TABLE IF NOT EXISTS meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

-- The leaves of the tree, without gaps from 0. `body` is what is hashed; the other columns
-- repeat what `body` says, for searching.
CREATE TABLE IF NOT EXISTS receipts (
  at        INTEGER NOT NULL PRIMARY KEY,
  time_ms   INTEGER NOT NULL,
  mark      TEXT    NOT NULL,
  action_id TEXT    NOT NULL,
  run       TEXT    NOT NULL,
  body      BLOB    NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS receipts_of_an_action ON receipts (action_id) WHERE mark <> 'read';
CREATE INDEX IF NOT EXISTS receipts_of_a_start ON receipts (at) WHERE mark = 'started';

-- One signed head for each commit, and the peaks of the tree at that size.
CREATE TABLE IF NOT EXISTS checkpoints (
  size  INTEGER NOT NULL PRIMARY KEY,
  peaks BLOB    NOT NULL,
  note  TEXT    NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS holds (
  ticket        TEXT    NOT NULL PRIMARY KEY,
  run           TEXT    NOT NULL,
  action_digest TEXT    NOT NULL,
  state         TEXT    NOT NULL,
  opened_at     INTEGER NOT NULL,
  opened_ms     INTEGER NOT NULL,
  expires_ms    INTEGER NOT NULL,
  moved_ms      INTEGER NOT NULL,
  body          BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX IF NOT EXISTS one_waiting_hold_for_an_action
  ON holds (run, action_digest) WHERE state IN ('open', 'approved');
CREATE INDEX IF NOT EXISTS holds_of_an_action ON holds (run, action_digest, opened_at);
CREATE INDEX IF NOT EXISTS holds_that_wait ON holds (opened_at) WHERE state IN ('open', 'approved');

CREATE TABLE IF NOT EXISTS signoffs (
  ticket    TEXT    NOT NULL REFERENCES holds (ticket),
  human     TEXT    NOT NULL,
  verdict   TEXT    NOT NULL,
  key       TEXT    NOT NULL,
  signature BLOB    NOT NULL,
  signed_ms INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  PRIMARY KEY (ticket, human)
) STRICT;

CREATE TABLE IF NOT EXISTS actions (
  action_id   TEXT    NOT NULL PRIMARY KEY,
  run         TEXT    NOT NULL,
  agent       TEXT    NOT NULL,
  operator    TEXT    NOT NULL,
  surface     TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  digest      TEXT    NOT NULL,
  state       TEXT    NOT NULL,
  started_at  INTEGER NOT NULL,
  started_ms  INTEGER NOT NULL,
  finished_ms INTEGER,
  sealed      BLOB    NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS actions_without_outcome
  ON actions (started_at) WHERE state IN ('started', 'in_doubt');
CREATE INDEX IF NOT EXISTS actions_of_a_run ON actions (run, started_at);

CREATE TABLE IF NOT EXISTS undos (
  action_id     TEXT    NOT NULL PRIMARY KEY,
  run           TEXT    NOT NULL,
  state         TEXT    NOT NULL,
  vault         TEXT    NOT NULL,
  after         TEXT    NOT NULL,
  undone_by     TEXT    NOT NULL,
  captured_ms   INTEGER NOT NULL,
  keep_until_ms INTEGER NOT NULL,
  saved_at      INTEGER NOT NULL,
  sealed        BLOB    NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS undos_of_a_run ON undos (run, saved_at);

CREATE TABLE IF NOT EXISTS switches (
  name    TEXT    NOT NULL PRIMARY KEY,
  content BLOB    NOT NULL, -- sealed
  at      INTEGER NOT NULL
) STRICT;

-- Every configuration that was ever sealed; the newest is in force. `at` and `digest` are
-- bound to what is sealed, and the receipt at `at` names the same digest.
CREATE TABLE IF NOT EXISTS configurations (
  at     INTEGER NOT NULL PRIMARY KEY,
  digest TEXT    NOT NULL,
  sealed BLOB    NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS receipts_of_a_seal ON receipts (at) WHERE mark = 'sealed';

CREATE TABLE IF NOT EXISTS run_keys (
  key_id     TEXT    NOT NULL PRIMARY KEY,
  run        TEXT    NOT NULL,
  agent      TEXT    NOT NULL,
  operator   TEXT    NOT NULL,
  issued_ms  INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  revoked_ms INTEGER,
  sealed     BLOB    NOT NULL
) STRICT;

-- Peer-reviewed access. `sealed` holds all of a grant with the count of its uses, and the
-- index of the receipt that last moved it; the other columns only find it.
CREATE TABLE IF NOT EXISTS grants (
  id        TEXT    NOT NULL PRIMARY KEY,
  run       TEXT    NOT NULL,
  opened_at INTEGER NOT NULL,
  sealed    BLOB    NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS grants_of_a_run ON grants (run, opened_at);
CREATE INDEX IF NOT EXISTS receipts_of_control ON receipts (at) WHERE mark = 'control';

-- These stop accidents. Whoever owns the file can drop them; the tree is the evidence.
CREATE TRIGGER IF NOT EXISTS receipts_are_not_changed BEFORE UPDATE ON receipts
BEGIN SELECT RAISE(ABORT, 'a receipt is never changed'); END;
CREATE TRIGGER IF NOT EXISTS receipts_are_not_removed BEFORE DELETE ON receipts
BEGIN SELECT RAISE(ABORT, 'a receipt is never removed'); END;
