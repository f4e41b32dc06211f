-- Who owns an asset, and who sees it beside those who see its workspace. Neither
-- is a right to use it: that is in asset_usage_roles.
CREATE TABLE asset_roles (
    asset_id bigint NOT NULL REFERENCES assets ON DELETE CASCADE,
    group_id bigint NOT NULL REFERENCES groups ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'viewer')),
    PRIMARY KEY (asset_id, group_id, role)
);
