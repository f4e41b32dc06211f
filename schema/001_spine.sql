-- The spine: people and rights, files and artifacts, collections, workers and
-- queues, work requests and their attempts. What must always hold is a
-- constraint here, with the reason beside it.

-- One row: the short name of this installation. Temporal ids carry it, so that
-- a database made anew never meets its old ids in a Temporal that survived.
CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    name text NOT NULL CHECK (name ~ '^[a-z0-9]{4,16}$'),
    seal_key bytea NOT NULL CHECK (octet_length(seal_key) = 32), -- the gateways seal task tokens with it
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The servers' own heartbeat: a gap in it is an outage of ours, and no worker
-- is called lost for a silence that we caused. grace_until is set by whoever
-- ends the gap.
CREATE TABLE presence (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    beat_at timestamptz NOT NULL,
    grace_until timestamptz NOT NULL
);

-- People -------------------------------------------------------------------

CREATE TABLE scopes (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z][A-Za-z0-9+._-]*$'),
    label text NOT NULL UNIQUE,
    public boolean NOT NULL DEFAULT true
);

CREATE TABLE users (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    username text NOT NULL UNIQUE CHECK (username ~ '^[A-Za-z0-9_][A-Za-z0-9@.+_-]*$' AND username !~ '^[0-9]+$'),
    email text NOT NULL DEFAULT '',
    is_superuser boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    is_system boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (NOT is_system OR email = '')
);

CREATE TABLE workspaces (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    scope_id bigint NOT NULL REFERENCES scopes,
    name text NOT NULL CHECK (name ~ '^[A-Za-z][A-Za-z0-9+._-]*$'
        AND name NOT IN ('accounts', 'artifact', 'task-status', 'user', 'workers', 'work-request', 'workspaces')),
    public boolean NOT NULL DEFAULT false,
    description text NOT NULL DEFAULT '',
    default_expiration_delay interval NOT NULL DEFAULT '0', -- zero: kept for ever
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (scope_id, name)
);

CREATE TABLE groups (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    scope_id bigint NOT NULL REFERENCES scopes,
    workspace_id bigint REFERENCES workspaces,
    name text NOT NULL,
    ephemeral boolean NOT NULL DEFAULT false,
    system boolean NOT NULL DEFAULT false,
    UNIQUE NULLS NOT DISTINCT (name, scope_id, workspace_id)
);

CREATE TABLE group_members (
    group_id bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('admin', 'member')),
    PRIMARY KEY (group_id, user_id)
);

CREATE TABLE scope_roles (
    scope_id bigint NOT NULL REFERENCES scopes ON DELETE CASCADE,
    group_id bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'observer')),
    PRIMARY KEY (scope_id, group_id, role)
);

CREATE TABLE workspace_roles (
    workspace_id bigint NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    group_id bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'contributor', 'viewer')),
    PRIMARY KEY (workspace_id, group_id, role)
);

-- Workers and queues ---------------------------------------------------------

CREATE TABLE workers (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE,
    worker_type text NOT NULL DEFAULT 'external' CHECK (worker_type IN ('external', 'signing')),
    enabled boolean NOT NULL DEFAULT false, -- a new worker waits for an administrator
    concurrency int NOT NULL DEFAULT 1 CHECK (concurrency BETWEEN 1 AND 256),
    registered_at timestamptz NOT NULL DEFAULT now(),
    heard_at timestamptz,
    draining boolean NOT NULL DEFAULT false,
    -- What the machine reports, and what an administrator says of it. The
    -- latter wins; provided tags are the union, each limited to what its
    -- source may say (provenance, task.AllowedTags).
    dynamic_metadata jsonb NOT NULL DEFAULT '{}',
    static_metadata jsonb NOT NULL DEFAULT '{}',
    tags_provided text[] NOT NULL DEFAULT '{}',
    tags_required text[] NOT NULL DEFAULT '{}'
);

-- A queue stands for a pair: the tags that its work requires, and the gates
-- that its work provides. The name is a function of the two (task.QueueName).
CREATE TABLE queues (
    name text PRIMARY KEY,
    required text[] NOT NULL,
    provided text[] NOT NULL DEFAULT '{}',
    UNIQUE (required, provided)
);

-- Tags of the kind task:* that an administrator has declared to be gates.
CREATE TABLE gates (
    tag text PRIMARY KEY CHECK (tag LIKE 'task:%')
);

-- Work requests --------------------------------------------------------------

CREATE TABLE workflow_templates (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    workspace_id bigint NOT NULL REFERENCES workspaces,
    name text NOT NULL CHECK (name ~ '^[A-Za-z][A-Za-z0-9+._-]*$'),
    task_name text NOT NULL,
    static_parameters jsonb NOT NULL DEFAULT '{}',
    runtime_parameters jsonb NOT NULL DEFAULT '{}', -- {"p": "any" | [strings]}, or "any"
    priority int NOT NULL DEFAULT 0,
    restricted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workspace_id, name)
);

CREATE TABLE work_requests (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    workspace_id bigint NOT NULL REFERENCES workspaces,
    created_at timestamptz NOT NULL DEFAULT now(),
    pending_at timestamptz,
    started_at timestamptz,
    completed_at timestamptz,
    created_by bigint NOT NULL REFERENCES users,
    aborted_by bigint REFERENCES users,
    status text NOT NULL CHECK (status IN ('blocked', 'pending', 'running', 'completed', 'aborted')),
    result text NOT NULL DEFAULT '' CHECK (result IN ('', 'success', 'failure', 'temporary failure', 'error', 'skipped')),
    task_type text NOT NULL CHECK (task_type IN ('Worker', 'Server', 'Internal', 'Workflow', 'Signing', 'Wait')),
    task_name text NOT NULL,
    task_data jsonb NOT NULL,
    configured_task_data jsonb,
    dynamic_task_data jsonb,
    version int NOT NULL DEFAULT 1,
    priority_base int NOT NULL DEFAULT 0,
    priority_adjustment int NOT NULL DEFAULT 0,
    output_data jsonb,
    unblock_strategy text NOT NULL DEFAULT 'deps' CHECK (unblock_strategy IN ('deps', 'manual', 'incremental')),
    parent_id bigint REFERENCES work_requests,
    root_id bigint REFERENCES work_requests, -- null for a root itself and for one that stands alone
    workflow_template_id bigint REFERENCES workflow_templates ON DELETE SET NULL,
    workflow_data jsonb NOT NULL DEFAULT '{}',
    event_reactions jsonb NOT NULL DEFAULT '{}',
    supersedes_id bigint UNIQUE REFERENCES work_requests,
    superseded boolean NOT NULL DEFAULT false,
    expiration_delay interval,
    scheduler_tags_provided text[] NOT NULL DEFAULT '{}',
    scheduler_tags_required text[] NOT NULL DEFAULT '{}',
    -- Ours. The step names a child within its parent, so that planning twice
    -- makes it once.
    step text,
    queue text REFERENCES queues,
    due timestamptz NOT NULL DEFAULT now(), -- a hint for the gateway: ready to be fetched from this moment
    losses int NOT NULL DEFAULT 0,
    lost_workers bigint[] NOT NULL DEFAULT '{}',
    run int NOT NULL DEFAULT 0,             -- how often a root was retried in place: wf/<id>~run
    temporal_id text,                       -- of the workflow, or of the standalone activity; null for a child
    temporal_run_id text,
    temporal_started boolean NOT NULL DEFAULT false, -- the outbox's mark
    temporal_closed boolean NOT NULL DEFAULT false,  -- Temporal knows that it ended
    CHECK ((status = 'completed') = (result <> '')),
    CHECK ((status IN ('completed', 'aborted')) = (completed_at IS NOT NULL)),
    CHECK (status <> 'pending' OR task_type <> 'Worker' OR queue IS NOT NULL)
);
CREATE UNIQUE INDEX work_requests_step ON work_requests (parent_id, step) WHERE NOT superseded;
CREATE INDEX work_requests_hint ON work_requests (queue, (-(priority_base + priority_adjustment)), id) WHERE status = 'pending' AND task_type = 'Worker';
CREATE INDEX work_requests_outbox ON work_requests (id) WHERE temporal_id IS NOT NULL AND NOT temporal_started;
CREATE INDEX work_requests_unclosed ON work_requests (completed_at) WHERE status IN ('completed', 'aborted') AND NOT temporal_closed;
CREATE INDEX work_requests_under_way ON work_requests (id) WHERE temporal_started AND status NOT IN ('completed', 'aborted');
CREATE INDEX work_requests_list ON work_requests (workspace_id, id DESC);
CREATE INDEX work_requests_parent ON work_requests (parent_id);
CREATE INDEX work_requests_root ON work_requests (root_id);

-- An attempt is one worker's hold on a work request, from begin to complete.
-- It is the fence: each has its own token, and at most one is open.
CREATE TABLE attempts (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    work_request_id bigint NOT NULL REFERENCES work_requests,
    number int NOT NULL,
    worker_id bigint NOT NULL REFERENCES workers,
    token_hash text NOT NULL UNIQUE,
    task_token bytea NOT NULL,               -- Temporal's own, unsealed
    temporal_attempt int NOT NULL DEFAULT 0, -- Temporal's count of deliveries: an older one never begins after a newer
    begun_at timestamptz NOT NULL DEFAULT now(),
    heard_at timestamptz NOT NULL DEFAULT now(),
    passed_on_at timestamptz NOT NULL DEFAULT now(), -- last heartbeat that was passed on to Temporal
    ended_at timestamptz,
    ending text CHECK (ending IN ('completed', 'lost', 'given-back', 'superseded')),
    told boolean NOT NULL DEFAULT false,     -- Temporal knows how it ended
    UNIQUE (work_request_id, number),
    CHECK ((ended_at IS NULL) = (ending IS NULL))
);
CREATE UNIQUE INDEX attempts_open ON attempts (work_request_id) WHERE ended_at IS NULL;
CREATE INDEX attempts_untold ON attempts (ended_at) WHERE ended_at IS NOT NULL AND NOT told;
CREATE INDEX attempts_heard ON attempts (heard_at) WHERE ended_at IS NULL;

-- A task that was given to a worker and never begun: a late begin with this
-- token of Temporal's is refused.
CREATE TABLE voided_deliveries (
    delivery text PRIMARY KEY,               -- sha256 of Temporal's task token, hexadecimal
    work_request_id bigint NOT NULL REFERENCES work_requests,
    voided_at timestamptz NOT NULL DEFAULT now()
);

-- The log of the newest attempt while it runs; the artifact replaces it.
CREATE TABLE work_request_logs (
    work_request_id bigint NOT NULL REFERENCES work_requests ON DELETE CASCADE,
    attempt_id bigint NOT NULL REFERENCES attempts ON DELETE CASCADE,
    start bigint NOT NULL,                   -- offset of the first byte
    chunk bytea NOT NULL CHECK (octet_length(chunk) BETWEEN 1 AND 1048576),
    PRIMARY KEY (work_request_id, attempt_id, start)
);

-- Tokens -----------------------------------------------------------------------

CREATE TABLE tokens (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    token_type text NOT NULL CHECK (token_type IN ('worker-activation', 'worker', 'user')),
    hash text NOT NULL UNIQUE CHECK (hash ~ '^[0-9a-f]{64}$'), -- sha256 of the secret, which is shown once
    user_id bigint REFERENCES users,
    worker_id bigint REFERENCES workers ON DELETE CASCADE,
    comment text NOT NULL DEFAULT '',
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    expire_at timestamptz,
    last_seen_at timestamptz,
    -- Work-request tokens are the attempts' own (attempts.token_hash).
    CHECK ((token_type = 'user') = (user_id IS NOT NULL)),
    CHECK ((token_type = 'worker') = (worker_id IS NOT NULL))
);

-- Artifacts ----------------------------------------------------------------------

CREATE TABLE files (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    size bigint NOT NULL CHECK (size >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (sha256, size)
);

CREATE TABLE artifacts (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    category text NOT NULL,
    workspace_id bigint NOT NULL REFERENCES workspaces,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expiration_delay interval,
    created_by bigint REFERENCES users,
    created_by_work_request bigint REFERENCES work_requests,
    created_by_attempt bigint REFERENCES attempts, -- of a voided attempt: never shown, swept away
    original_artifact bigint REFERENCES artifacts,
    complete boolean NOT NULL DEFAULT false
);
CREATE INDEX artifacts_list ON artifacts (workspace_id, id DESC);
CREATE INDEX artifacts_made_by ON artifacts (created_by_work_request) WHERE created_by_work_request IS NOT NULL;

-- What an artifact says of its files is fixed when it is created; file_id
-- comes when the bytes are there and are the ones that were announced.
CREATE TABLE artifact_files (
    artifact_id bigint NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    path text NOT NULL CHECK (length(path) BETWEEN 1 AND 500),
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    size bigint NOT NULL CHECK (size >= 0),
    content_type text NOT NULL DEFAULT '',
    file_id bigint REFERENCES files,
    PRIMARY KEY (artifact_id, path)
);
CREATE INDEX artifact_files_file ON artifact_files (file_id);
CREATE INDEX artifact_files_content ON artifact_files (sha256, size);

CREATE TABLE artifact_relations (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    artifact_id bigint NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    target_id bigint NOT NULL REFERENCES artifacts ON DELETE CASCADE,
    type text NOT NULL CHECK (type IN ('extends', 'relates-to', 'built-using')),
    UNIQUE (artifact_id, target_id, type)
);
CREATE INDEX artifact_relations_target ON artifact_relations (target_id);

-- Collections ----------------------------------------------------------------------

CREATE TABLE collections (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    workspace_id bigint NOT NULL REFERENCES workspaces,
    category text NOT NULL,
    name text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    retains_artifacts text NOT NULL DEFAULT 'always' CHECK (retains_artifacts IN ('always', 'never', 'workflow')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workspace_id, category, name),
    -- Only singletons begin with an underscore, and are called exactly that.
    CHECK (name = '_' OR name !~ '^_')
);

CREATE TABLE collection_items (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    collection_id bigint NOT NULL REFERENCES collections,
    name text NOT NULL CHECK (name <> ''),
    child_type text NOT NULL CHECK (child_type IN ('bare', 'artifact', 'collection')),
    category text NOT NULL,
    artifact_id bigint REFERENCES artifacts,
    child_collection_id bigint REFERENCES collections,
    data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by bigint REFERENCES users,
    created_by_workflow bigint REFERENCES work_requests,
    removed_at timestamptz,
    removed_by bigint REFERENCES users,
    removed_by_workflow bigint REFERENCES work_requests,
    CHECK ((child_type = 'artifact') = (artifact_id IS NOT NULL)),
    CHECK ((child_type = 'collection') = (child_collection_id IS NOT NULL)),
    CHECK (child_collection_id <> collection_id)
);
-- Removal is a tombstone: only active items must have names of their own.
CREATE UNIQUE INDEX collection_items_active ON collection_items (collection_id, name) WHERE removed_at IS NULL;
CREATE INDEX collection_items_artifact ON collection_items (artifact_id) WHERE artifact_id IS NOT NULL;
