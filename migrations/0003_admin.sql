-- The operators' side: who may do what, what was changed by whom, and batches that end by command.

-- The token itself is stored nowhere, only its SHA-256: 32 random bytes need no slower hash.
CREATE TABLE admin_tokens (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text        NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    scope        text        NOT NULL CHECK (scope IN ('read', 'operate', 'admin')),
    token_hash   bytea       NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    -- To within some seconds.
    last_used_at timestamptz
);

-- Every change, and attempts that were refused. Written before the change is made; status is then
-- NULL, and stays so when its end is not known.
CREATE TABLE admin_audit (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    principal       text        NOT NULL,
    -- Where the request came from: "127.0.0.1:40112", "unix", "aion2ctl".
    address         text        NOT NULL,
    action          text        NOT NULL,
    target          text        NOT NULL DEFAULT '',
    -- As in HTTP: 2xx done, 4xx refused, 5xx failed.
    status          integer,
    detail          text,
    before          jsonb,
    after           jsonb,
    idempotency_key text
);
CREATE INDEX admin_audit_at_idx ON admin_audit (at);

-- Answers to POSTs with an Idempotency-Key, for a day. status NULL: still at it.
CREATE TABLE admin_idempotency (
    principal    text        NOT NULL,
    key          text        NOT NULL CHECK (length(key) <= 128),
    request_hash bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    status       integer,
    location     text,
    answer       jsonb,
    PRIMARY KEY (principal, key)
);
CREATE INDEX admin_idempotency_created_at_idx ON admin_idempotency (created_at);

-- Batches that a person asked for: known before a worker has begun them.
CREATE TABLE batch_requests (
    task_id      text        PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    requested_by text        NOT NULL,
    reason       text
);

-- A cancelled run has a result, so that a message which comes again does not begin it anew.
ALTER TABLE batch_runs DROP CONSTRAINT batch_runs_state_check;
ALTER TABLE batch_runs ADD CONSTRAINT batch_runs_state_check
    CHECK (state IN ('running', 'success', 'no_data', 'skipped', 'failed', 'cancelled'));

-- One server over the runs.
CREATE INDEX server_stats_server_idx ON server_stats (server, run_id DESC);
