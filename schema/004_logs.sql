-- Live logs are text that comes and goes: the faster compression, where
-- PostgreSQL was built with it (Debian's is).
DO $$
BEGIN
    ALTER TABLE work_request_logs ALTER COLUMN chunk SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
