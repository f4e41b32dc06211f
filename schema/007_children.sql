-- Children of every kind: of a workflow within a workflow, of the server's own
-- tasks, of what waits for a person.
ALTER TABLE work_requests
    -- The Temporal workflow in which a child runs: of a workflow its own, of anything
    -- else the one that asked for it. Null for what is no child, and for children
    -- that older servers planned, whose root runs them.
    ADD execution_id text,
    -- Who ended what waited for a person.
    ADD completed_by bigint REFERENCES users;
