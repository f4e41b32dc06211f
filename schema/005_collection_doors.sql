-- One way in for each sort of look-up. While several indices begin with the
-- collection, PostgreSQL takes them for equally good where it has no statistics
-- of the collection at hand (it was just filled, or the plan is one for all
-- parameters), and reads all of a large collection for one item. So each query
-- names its collection in the form that one index alone has.
DROP INDEX collection_items_list, collection_items_prefix, collection_items_match, collection_items_data;
-- Names compare by bytes: the unique index on them also finds beginnings.
-- By name: collection_id.
ALTER TABLE collection_items ALTER name TYPE text COLLATE "C";
-- By number, all or page by page: -collection_id.
CREATE INDEX collection_items_list ON collection_items ((-collection_id), id) WHERE removed_at IS NULL;
-- By what the item is: collection_id + 0, which no index has.
CREATE INDEX collection_items_match ON collection_items ((data->>'codename'), (data->>'architecture')) WHERE removed_at IS NULL AND parent_category = 'debian:environments';
-- Without fastupdate: what was added lately must not be read in full each time.
CREATE INDEX collection_items_data ON collection_items USING gin (data jsonb_path_ops) WITH (fastupdate = off) WHERE removed_at IS NULL;
