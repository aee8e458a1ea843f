-- Putgate's whole state. PostgreSQL 15 and later; the SQLite migrations are its twin.
--
-- Moments are milliseconds since 1970-01-01T00:00:00Z: the same number on every database,
-- and no time zone to get wrong. Ids are UUIDv7, so that a primary key is also an order
-- of creation. Names of constraints are part of the contract: tests look for them.

-- One row per permission to upload one object.
CREATE TABLE tickets (
    id                UUID PRIMARY KEY,
    tenant            TEXT NOT NULL,
    slot              TEXT NOT NULL,
    owner             TEXT NOT NULL,
    -- The app object the upload is for; NULL is a ref of its own, the null ref.
    ref               TEXT,
    -- open: waiting for bytes or verdict. committed: set by the attempt that won.
    -- rejected: set by the attempt that judged. expired: set by the last attempt, past
    -- the grace. cancelled: by its owner, or by a newer pick in a slot that replaces.
    state             TEXT NOT NULL,
    name              TEXT NOT NULL,
    -- Bytes reserved and, when exact_size, signed into the transfer.
    size              BIGINT NOT NULL,
    exact_size        BOOLEAN NOT NULL,
    media_type        TEXT,
    sha256            TEXT,
    metadata          TEXT NOT NULL,
    -- The effective policy at mint: slot and token. The verdict goes by it.
    policy            TEXT NOT NULL,
    -- The number of the last attempt: the fencing token. A final key carries it.
    epoch             BIGINT NOT NULL,
    -- When each attempt began, the last of them last: an object that carries an attempt's
    -- number and is older than the attempt was written in another life of this database.
    attempts          TEXT NOT NULL,
    lease_until       BIGINT,
    created_at        BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    -- The worker's schedule; it looks at open tickets only.
    next_check_at     BIGINT,
    checks            BIGINT NOT NULL,
    closed_at         BIGINT,
    -- A rejected or cancelled ticket's URLs live on for url_ttl; so long it counts
    -- against max_open_tickets.
    cooling_until     BIGINT,
    -- Why it ended without a file (RFC 9457).
    problem           TEXT,
    part_size         BIGINT,
    -- The store's multipart upload in staging; NULL until the first sign created it.
    multipart_id      TEXT,
    -- A promotion by parts: on the row before its first part, so that a crash leaves a
    -- pointer to what it left behind.
    promote_key       TEXT,
    promote_upload_id TEXT,
    -- When the worker removes its leftovers: set when it closes, moved on when the store
    -- refuses, NULL while it is open and once it is clean.
    clean_at          BIGINT,
    -- What the last attempt saw, for people.
    note              TEXT,
    dialect           TEXT,
    CONSTRAINT tickets_state_known CHECK (state IN ('open', 'committed', 'rejected', 'expired', 'cancelled')),
    CONSTRAINT tickets_size_positive CHECK (size > 0),
    CONSTRAINT tickets_epoch_counts CHECK (epoch >= 0),
    CONSTRAINT tickets_committed_by_an_attempt CHECK (state <> 'committed' OR epoch > 0),
    CONSTRAINT tickets_closed_when_not_open CHECK ((state = 'open') = (closed_at IS NULL)),
    CONSTRAINT tickets_checked_while_open CHECK ((state = 'open') = (next_check_at IS NOT NULL)),
    CONSTRAINT tickets_leased_while_open CHECK (state = 'open' OR lease_until IS NULL),
    CONSTRAINT tickets_problem_says_why CHECK ((state IN ('rejected', 'expired', 'cancelled')) = (problem IS NOT NULL)),
    CONSTRAINT tickets_cooling_when_refused CHECK ((state IN ('rejected', 'cancelled')) = (cooling_until IS NOT NULL)),
    CONSTRAINT tickets_cleaned_when_closed CHECK (state <> 'open' OR clean_at IS NULL)
);

-- The worker's poll.
CREATE INDEX tickets_due ON tickets (next_check_at) WHERE state = 'open';
-- Leftovers to remove.
CREATE INDEX tickets_unclean ON tickets (clean_at) WHERE clean_at IS NOT NULL;
-- Lists, newest first; the second is the backend's view of a whole tenant.
CREATE INDEX tickets_of_owner ON tickets (tenant, owner, id);
CREATE INDEX tickets_of_tenant ON tickets (tenant, id);
-- The oldest open tickets of a full slot.
CREATE INDEX tickets_open ON tickets (tenant, slot, owner, ref, created_at, id) WHERE state = 'open';
-- Recently refused tickets that still count.
CREATE INDEX tickets_cooling ON tickets (tenant, owner, cooling_until) WHERE cooling_until IS NOT NULL;
-- Retention, which waits for the cleaning.
CREATE INDEX tickets_closed ON tickets (closed_at) WHERE state <> 'open' AND clean_at IS NULL;

-- One row per committed upload; the id is its ticket's.
CREATE TABLE files (
    id           UUID PRIMARY KEY,
    tenant       TEXT NOT NULL,
    slot         TEXT NOT NULL,
    owner        TEXT NOT NULL,
    ref          TEXT,
    -- tenant/slot/id.epoch.ext in the files bucket.
    key          TEXT NOT NULL,
    name         TEXT NOT NULL,
    size         BIGINT NOT NULL,
    media_type   TEXT NOT NULL,
    etag         TEXT NOT NULL,
    sha256       TEXT,
    width        BIGINT,
    height       BIGINT,
    metadata     TEXT NOT NULL,
    disposition  TEXT NOT NULL,
    warnings     TEXT NOT NULL,
    committed_at BIGINT NOT NULL,
    claimed_at   BIGINT,
    -- When it ends unless it is claimed first; NULL: never.
    unclaimed_at BIGINT,
    -- Set: a tombstone. Readers no longer see it; sweep deletes the bytes, then the row.
    ended_at     BIGINT,
    end_reason   TEXT,
    -- When sweep deletes the bytes; later when the store refused.
    purge_at     BIGINT,
    event_seq    BIGINT NOT NULL,
    CONSTRAINT files_key_unique UNIQUE (key),
    CONSTRAINT files_size_positive CHECK (size > 0),
    CONSTRAINT files_disposition_known CHECK (disposition IN ('attachment', 'inline')),
    CONSTRAINT files_end_reason_known CHECK (end_reason IN ('deleted', 'replaced', 'unclaimed')),
    CONSTRAINT files_ended_with_reason CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
    CONSTRAINT files_purged_when_ended CHECK ((ended_at IS NULL) = (purge_at IS NULL)),
    CONSTRAINT files_claimed_stay CHECK (claimed_at IS NULL OR unclaimed_at IS NULL)
);

-- What belongs to one app object; and, oldest first, what a new file replaces.
CREATE INDEX files_of_ref ON files (tenant, slot, owner, ref, committed_at, id) WHERE ended_at IS NULL;
-- Lists, newest first, of an owner and of a whole tenant, over all slots and in one.
CREATE INDEX files_of_owner ON files (tenant, owner, committed_at, id) WHERE ended_at IS NULL;
CREATE INDEX files_of_owner_in_slot ON files (tenant, owner, slot, committed_at, id) WHERE ended_at IS NULL;
CREATE INDEX files_of_tenant ON files (tenant, committed_at, id) WHERE ended_at IS NULL;
CREATE INDEX files_of_tenant_in_slot ON files (tenant, slot, committed_at, id) WHERE ended_at IS NULL;
-- The worker's polls: unclaimed files, and tombstones.
CREATE INDEX files_unclaimed ON files (unclaimed_at) WHERE unclaimed_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX files_ended ON files (purge_at) WHERE ended_at IS NOT NULL;

-- What each account holds: [tenant,owner,slot,ref], [tenant,owner,slot], [tenant,null,slot]
-- and [tenant,owner], as JSON; an owner's rows are neighbours. Every change of a ticket or file
-- moves its accounts in the same transaction; `putgate audit` adds them up again.
CREATE TABLE usage (
    account  TEXT PRIMARY KEY,
    open     BIGINT NOT NULL,
    files    BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    stored   BIGINT NOT NULL,
    CONSTRAINT usage_never_negative CHECK (open >= 0 AND files >= 0 AND reserved >= 0 AND stored >= 0)
);

-- The outbox: written by the transaction that made the event true, delivered at least
-- once, in order of seq per subject.
CREATE TABLE events (
    id              UUID PRIMARY KEY,
    subject         UUID NOT NULL,
    seq             BIGINT NOT NULL,
    tenant          TEXT NOT NULL,
    kind            TEXT NOT NULL,
    body            TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    -- pending: to be delivered. delivered: a receiver said 2xx. dead: given up; an
    -- operator may replay it.
    state           TEXT NOT NULL,
    tries           BIGINT NOT NULL,
    next_try_at     BIGINT,
    lease_until     BIGINT,
    settled_at      BIGINT,
    -- What the receiver said last.
    last_status     BIGINT,
    last_error      TEXT,
    CONSTRAINT events_once_per_seq UNIQUE (subject, seq),
    CONSTRAINT events_state_known CHECK (state IN ('pending', 'delivered', 'dead')),
    CONSTRAINT events_settled_with_time CHECK ((state = 'pending') = (settled_at IS NULL)),
    CONSTRAINT events_tried_while_pending CHECK ((state = 'pending') = (next_try_at IS NOT NULL))
);

CREATE INDEX events_due ON events (next_try_at) WHERE state = 'pending';
CREATE INDEX events_settled ON events (settled_at) WHERE state <> 'pending';

-- Idempotency-Key of POST /v1/tickets, kept a day: the hash of the request and, for each
-- of its files, the ticket's id or the problem.
CREATE TABLE idempotency (
    tenant     TEXT NOT NULL,
    caller     TEXT NOT NULL,
    key        TEXT NOT NULL,
    body_hash  TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, caller, key)
);

CREATE INDEX idempotency_old ON idempotency (created_at);

-- Where long walks stand (the slow walk of the files bucket), and who is walking.
CREATE TABLE marks (
    name        TEXT PRIMARY KEY,
    value       TEXT NOT NULL,
    lease_until BIGINT,
    updated_at  BIGINT NOT NULL
);
