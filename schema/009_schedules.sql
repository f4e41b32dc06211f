-- Schedules start workflow templates again and again. The row is what holds;
-- Temporal has a schedule made from it, which tells when (server/orchestrator).
CREATE TABLE schedules (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    workspace_id bigint NOT NULL REFERENCES workspaces,
    name text NOT NULL CHECK (name ~ '^[A-Za-z][A-Za-z0-9+._-]{0,99}$'),
    template text NOT NULL, -- by name: what it is then is what is started
    task_data jsonb NOT NULL,
    every_seconds bigint CHECK (every_seconds > 0),
    cron text CHECK (cron <> ''),
    paused boolean NOT NULL DEFAULT false,
    created_by bigint NOT NULL REFERENCES users, -- on whose behalf it runs
    created_at timestamptz NOT NULL DEFAULT date_trunc('second', now()),
    -- Of Temporal's moments, all up to this one were dealt with. By Temporal's
    -- clock alone: others may differ from it.
    caught_up_to timestamptz,
    -- The outbox: what Temporal has lags behind what is here.
    revision bigint NOT NULL DEFAULT 1,
    applied bigint NOT NULL DEFAULT 0,
    deleted_at timestamptz, -- the row goes when Temporal's schedule is gone
    refused text NOT NULL DEFAULT '', -- why Temporal does not take it
    CHECK ((every_seconds IS NULL) <> (cron IS NULL))
);
CREATE UNIQUE INDEX schedules_name ON schedules (workspace_id, name) WHERE deleted_at IS NULL;

-- What came of a moment. The unique pair is what makes each start one workflow,
-- however often the moment is told.
CREATE TABLE schedule_runs (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    schedule_id bigint NOT NULL REFERENCES schedules ON DELETE CASCADE,
    scheduled_at timestamptz NOT NULL,
    manual boolean NOT NULL DEFAULT false, -- a person's, and no moment of Temporal's
    outcome text NOT NULL CHECK (outcome IN ('started', 'skipped', 'failed')),
    message text NOT NULL DEFAULT '',
    work_request_id bigint UNIQUE REFERENCES work_requests ON DELETE CASCADE,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (schedule_id, scheduled_at, manual),
    CHECK ((outcome = 'started') = (work_request_id IS NOT NULL))
);
