-- How the steps stand that a workflow tries again after delays. Temporal decides and
-- waits; this is what people are shown, and where their wishes are sent.
CREATE TABLE retries (
    parent_id    bigint NOT NULL REFERENCES work_requests ON DELETE CASCADE,
    step         text NOT NULL,
    execution_id text NOT NULL,               -- the Temporal workflow around the step
    stands       text NOT NULL CHECK (stands IN ('trying', 'waiting', 'over')),
    number       int NOT NULL CHECK (number >= 0), -- of retries begun; of the next one while it waits
    delays       text[] NOT NULL,             -- 30m, 2h, 1d …
    retry_on     text NOT NULL DEFAULT '',
    due          timestamptz CHECK ((due IS NOT NULL) = (stands = 'waiting')),
    reason       text NOT NULL DEFAULT '',    -- why there is a next try, or none
    noted_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (parent_id, step)
);
