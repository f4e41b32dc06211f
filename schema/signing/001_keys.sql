-- The signing worker's own database: keys, of which none can be used by who
-- reads this alone, and the record of what was done with them.

CREATE TABLE keys (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    purpose text NOT NULL CHECK (purpose IN ('openpgp', 'openpgp-repository', 'uefi')),
    fingerprint text NOT NULL UNIQUE CHECK (fingerprint ~ '^([0-9A-F]{40}|[0-9A-F]{64})$'),
    private_key jsonb NOT NULL, -- encrypted to a service key, or where it is in hardware
    public_key bytea NOT NULL,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz      -- it signs no more
);

-- Each entry is the JSON text that its hash is of, and names the hash of the one
-- before: what is changed, left out or put in between shows (package vault).
CREATE TABLE audit (
    seq bigint PRIMARY KEY CHECK (seq > 0),
    entry text NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32)
);

CREATE FUNCTION audit_is_for_ever() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is append-only: % is refused', TG_OP;
END $$;
CREATE TRIGGER audit_keeps_rows BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_for_ever();
CREATE TRIGGER audit_keeps_all BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_for_ever();

-- PINs that a token refused, by the state of their file (never by what is in
-- it). They are not tried again, also after a restart: tokens lock themselves.
CREATE TABLE refused_pins (
    file_state text PRIMARY KEY,
    refused_at timestamptz NOT NULL DEFAULT now()
);
