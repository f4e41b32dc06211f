-- Assets: things of a workspace that are used without being seen. The only ones
-- so far are signing keys, of which this database has the public half.
CREATE TABLE assets (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    category text NOT NULL CHECK (category = 'debusine:signing-key'),
    workspace_id bigint NOT NULL REFERENCES workspaces,
    data jsonb NOT NULL,
    two_persons boolean NOT NULL DEFAULT false, -- a second person approves each work request that signs with it
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by bigint REFERENCES users,
    created_by_work_request bigint REFERENCES work_requests
);
CREATE UNIQUE INDEX assets_signing_key ON assets ((data->>'fingerprint')) WHERE category = 'debusine:signing-key';

-- In which workspaces an asset may be used at all, and by which groups as what.
CREATE TABLE asset_usages (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    asset_id bigint NOT NULL REFERENCES assets ON DELETE CASCADE,
    workspace_id bigint NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    UNIQUE (asset_id, workspace_id)
);
CREATE TABLE asset_usage_roles (
    usage_id bigint NOT NULL REFERENCES asset_usages ON DELETE CASCADE,
    group_id bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('signer', 'repository_signer')),
    PRIMARY KEY (usage_id, group_id, role)
);

-- Who else agreed that a work request may sign. Kept after the right is gone: it
-- counts only while its user could still sign.
CREATE TABLE asset_approvals (
    asset_id bigint NOT NULL REFERENCES assets ON DELETE CASCADE,
    work_request_id bigint NOT NULL REFERENCES work_requests ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users,
    approved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset_id, work_request_id, user_id)
);

-- Groups that whoever starts the template counts as a member of, for keys alone
-- and within that workflow alone.
ALTER TABLE workflow_templates ADD COLUMN extra_groups bigint[] NOT NULL DEFAULT '{}';

-- The queue of the signing worker. No machine can provide the tag that it
-- requires, and the gateway serves no queue of this name (task.MayPoll).
INSERT INTO queues (name, required) VALUES ('signing', '{system:signing}') ON CONFLICT DO NOTHING;
