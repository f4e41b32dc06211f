-- Reactions to events: ways out for notifications, the mails that wait for a
-- mail server, and the history of tasks.

-- A channel is for all, for the workspaces of a scope, or for one workspace.
CREATE TABLE notification_channels (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9+._-]{0,19}$'),
    method text NOT NULL DEFAULT 'email' CHECK (method = 'email'),
    data jsonb NOT NULL,                    -- from, to, cc, subject
    scope_id bigint REFERENCES scopes ON DELETE CASCADE,
    workspace_id bigint REFERENCES workspaces ON DELETE CASCADE,
    fixed boolean NOT NULL DEFAULT false,   -- whoever uses it changes the subject alone
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (workspace_id IS NULL OR scope_id IS NOT NULL)
);

-- The outbox: a mail is committed with the event that it tells of, and sent
-- afterwards, at least once and under the same Message-ID each time.
CREATE TABLE mails (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    channel text NOT NULL,
    workspace_id bigint NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    work_request_id bigint NOT NULL REFERENCES work_requests ON DELETE CASCADE,
    message_id text NOT NULL UNIQUE,
    sender text NOT NULL,                   -- of the envelope: the channel's own
    recipients text[] NOT NULL,             -- of the envelope: who has yet to get it
    headers jsonb NOT NULL,                 -- from, to, cc, subject
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    due timestamptz NOT NULL DEFAULT now(), -- not to be tried before; while it is tried: not by another
    tries int NOT NULL DEFAULT 0,
    ended_at timestamptz,                   -- sent to all who would take it, or given up
    failed boolean NOT NULL DEFAULT false,  -- somebody did not get it, and never will
    problem text NOT NULL DEFAULT ''        -- what the mail server said last
);
CREATE INDEX mails_due ON mails (due) WHERE ended_at IS NULL;
CREATE INDEX mails_waiting ON mails (workspace_id) WHERE ended_at IS NULL;
CREATE INDEX mails_ended ON mails (ended_at) WHERE ended_at IS NOT NULL;

-- Each workspace has a history of its tasks. What it does not keep any more is
-- remembered for a month.
ALTER TABLE collections
    DROP CONSTRAINT collections_singleton,
    ADD CONSTRAINT collections_singleton CHECK ((category IN ('debian:package-build-logs', 'debusine:task-history')) = (name = '_'));
INSERT INTO collections (workspace_id, category, name, full_history_retention_period, metadata_only_retention_period)
    SELECT id, 'debusine:task-history', '_', interval '0 days', interval '30 days' FROM workspaces ON CONFLICT DO NOTHING;
