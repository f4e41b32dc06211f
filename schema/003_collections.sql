-- Collections in depth: workspaces that inherit from others, the internal
-- collection of each workflow, rules for items by the category of their
-- collection, how long removed items are remembered, and indices for look-ups.

-- Where a lookup goes on when a workspace has no such collection: depth first,
-- in the order of position.
CREATE TABLE workspace_parents (
    workspace_id bigint NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    parent_id bigint NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    position int NOT NULL,
    PRIMARY KEY (workspace_id, parent_id),
    UNIQUE (workspace_id, position) DEFERRABLE,
    CHECK (workspace_id <> parent_id)
);

ALTER TABLE collections
    -- How long a removed item keeps its artifact, and how long after that the
    -- row itself is kept; null: for ever.
    ADD full_history_retention_period interval CHECK (full_history_retention_period >= '0'),
    ADD metadata_only_retention_period interval CHECK (metadata_only_retention_period >= '0'),
    ADD root_id bigint UNIQUE REFERENCES work_requests, -- whose internal collection it is
    ADD CONSTRAINT collections_singleton CHECK ((category IN ('debian:package-build-logs')) = (name = '_')),
    ADD CONSTRAINT collections_internal CHECK ((category = 'debusine:workflow-internal') = (root_id IS NOT NULL)
        AND (root_id IS NULL OR name = 'workflow-' || root_id));

-- The category of an item's collection, copied by the trigger below so that
-- constraints and indices can speak of it.
ALTER TABLE collection_items ADD parent_category text;
UPDATE collection_items i SET parent_category = c.category FROM collections c WHERE c.id = i.collection_id;

CREATE FUNCTION copy_parent_category() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT category INTO NEW.parent_category FROM collections WHERE id = NEW.collection_id;
    RETURN NEW;
END $$;
CREATE TRIGGER collection_items_parent BEFORE INSERT OR UPDATE OF collection_id, parent_category ON collection_items
    FOR EACH ROW EXECUTE FUNCTION copy_parent_category();

ALTER TABLE collection_items
    ALTER parent_category SET NOT NULL,
    DROP CONSTRAINT collection_items_check,
    -- The artifact of a removed item may be gone before the row.
    ADD CONSTRAINT collection_items_artifact_there CHECK (
        CASE WHEN child_type = 'artifact' THEN artifact_id IS NOT NULL OR removed_at IS NOT NULL ELSE artifact_id IS NULL END),
    ADD CONSTRAINT collection_items_name CHECK (length(name) <= 500 AND name !~ '/'), -- a slash would end a lookup's segment
    -- One environment of its kind: the name says all that tells two apart, and
    -- active names are unique.
    ADD CONSTRAINT collection_items_environment CHECK (parent_category <> 'debian:environments' OR (
        child_type = 'artifact' AND category IN ('debian:system-tarball', 'debian:system-image')
        AND name = coalesce(CASE category WHEN 'debian:system-tarball' THEN 'tarball:' ELSE 'image:' END || (data->>'codename') || ':' || (data->>'architecture')
            || CASE WHEN data ?| ARRAY['variant', 'backend'] THEN ':' || coalesce(data->>'variant', '') || ':' || coalesce(data->>'backend', '') ELSE '' END, ''))),
    ADD CONSTRAINT collection_items_build_log CHECK (parent_category <> 'debian:package-build-logs' OR (
        child_type IN ('bare', 'artifact') AND category = 'debian:package-build-log' AND data ? 'work_request_id')),
    ADD CONSTRAINT collection_items_internal CHECK (parent_category <> 'debusine:workflow-internal' OR child_type IN ('bare', 'artifact'));

-- Active items: by number, by the beginning of a name, environments by what
-- match: asks for most, anything by its data.
CREATE INDEX collection_items_list ON collection_items (collection_id, id) WHERE removed_at IS NULL;
CREATE INDEX collection_items_prefix ON collection_items (collection_id, name COLLATE "C") WHERE removed_at IS NULL;
CREATE INDEX collection_items_match ON collection_items (collection_id, (data->>'codename'), (data->>'architecture'))
    WHERE removed_at IS NULL AND parent_category = 'debian:environments';
CREATE INDEX collection_items_data ON collection_items USING gin (data jsonb_path_ops) WHERE removed_at IS NULL;
-- Removed ones, by when: what is to be forgotten.
CREATE INDEX collection_items_history ON collection_items (collection_id, removed_at) WHERE removed_at IS NOT NULL;
