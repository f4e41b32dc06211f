package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// unchanged says that the active item of that name holds another artifact with the
// same files, to the byte, and the same data. An environment that was made anew
// from the same state of the mirror then stays the one that machines have at hand.
func unchanged(ctx context.Context, tx pgx.Tx, item debusine.CollectionItem) (same bool, err error) {
	const contents = `(SELECT string_agg(path || ' ' || encode(sha256, 'hex') || ' ' || size, '/' ORDER BY path) FROM artifact_files WHERE artifact_id = %s)`
	err = tx.QueryRow(ctx, fmt.Sprintf(`
		SELECT EXISTS (SELECT FROM collection_items i JOIN artifacts a ON a.id = i.artifact_id
		 WHERE i.collection_id = $1 AND i.name = $2 AND i.removed_at IS NULL AND i.category = $3 AND i.data = $4 AND a.complete
		   AND %s = %s)`, fmt.Sprintf(contents, "a.id"), fmt.Sprintf(contents, "$5")),
		item.CollectionID, item.Name, item.Category, item.Data, item.ArtifactID).Scan(&same)
	return same, err
}
