-- What went to which queue. A look at a queue does not tell what a daemon has taken
-- out of it since: these rows do, so that nothing is uploaded twice.
CREATE TABLE uploads (
    target text NOT NULL, -- the URL of the folder, with DELAYED/N-day
    content bytea NOT NULL, -- SHA-256 over what it is, but for its signatures
    changes text NOT NULL, -- name of the .changes
    changes_sha256 bytea NOT NULL, -- of the one that was sent: with its signature
    work_request_id bigint NOT NULL, -- the newest that uploaded it; kept when that is gone
    begun_at timestamptz, -- since when the .changes may be there
    blind boolean NOT NULL DEFAULT false, -- nothing that was sent could be seen there
    done_at timestamptz, -- the server has acknowledged it
    files jsonb NOT NULL, -- SHA-256, hexadecimal, by name
    PRIMARY KEY (target, content),
    CHECK (done_at IS NULL OR begun_at IS NOT NULL)
);
