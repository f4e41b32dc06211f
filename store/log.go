package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// The log of a running attempt is kept in work_request_logs, in pieces that
// follow one another without a gap; the artifact that the attempt leaves has
// the same bytes at the same offsets, and replaces them. They are kept here and
// not beside the files because what is acknowledged must survive this server,
// be seen by every other at once, and be fenced by the attempt's own row.

const (
	// MaxLiveLog is how many bytes of a running attempt's log are kept. The
	// artifact has all of it, up to the executor's limit of output.
	MaxLiveLog = 64 << 20
	// smallPiece in bytes is what a row has at least before another is begun,
	// so that a flood of tiny pieces is no flood of rows.
	smallPiece = 8 << 10
	// LogKeep is how long the live log of an attempt that left no log as an
	// artifact, such as one whose worker was lost, can still be read.
	LogKeep = 30 * 24 * time.Hour
)

// LogFull says that no more of a live log is kept: the artifact will have it.
type LogFull struct{}

func (LogFull) Error() string {
	return fmt.Sprintf("the live log has all of the %d MiB that are kept while it runs", MaxLiveLog>>20)
}

// AppendLog keeps a piece of an attempt's log. offset is where it begins; a
// piece that is there already is not kept twice, and a gap is refused. What
// comes after MaxLiveLog bytes is LogFull.
func (db *DB) AppendLog(ctx context.Context, workRequest, attempt, offset int64, chunk []byte) error {
	if len(chunk) == 0 {
		return nil
	}
	return db.inTx(ctx, func(tx pgx.Tx) error {
		var start, size int64
		err := tx.QueryRow(ctx, `
			SELECT coalesce(l.start, 0), coalesce(l.size, 0) FROM attempts a
			  LEFT JOIN LATERAL (SELECT start, octet_length(chunk) AS size FROM work_request_logs
			         WHERE work_request_id = $2 AND attempt_id = $1 ORDER BY start DESC LIMIT 1) l ON true
			 WHERE a.id = $1 AND a.work_request_id = $2 AND a.ended_at IS NULL FOR NO KEY UPDATE OF a`, attempt, workRequest).Scan(&start, &size)
		end := start + size
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return debusine.Conflictf("attempt %d is void: the work request was given to another worker", attempt)
		case err != nil:
			return err
		case end >= MaxLiveLog:
			return LogFull{}
		case offset > end:
			return debusine.WithHint(debusine.Conflictf("the log ends at byte %d, not at %d", end, offset), fmt.Sprintf("send it from byte %d", end))
		case offset+int64(len(chunk)) <= end:
			return nil
		}
		rest := chunk[end-offset:]
		rest = rest[:min(int64(len(rest)), MaxLiveLog-end)]
		if size > 0 && size < smallPiece {
			_, err = tx.Exec(ctx, `UPDATE work_request_logs SET chunk = chunk || $4 WHERE work_request_id = $1 AND attempt_id = $2 AND start = $3`,
				workRequest, attempt, start, rest)
		} else {
			_, err = tx.Exec(ctx, `INSERT INTO work_request_logs (work_request_id, attempt_id, start, chunk) VALUES ($1, $2, $3, $4)`,
				workRequest, attempt, end, rest)
		}
		return fault(err, "piece of log")
	})
}

// LogState is how the log of one attempt stands.
type LogState struct {
	Status    debusine.Status // of the work request
	Result    debusine.Result
	AbortedBy string
	Attempt   int // its number; 0: none has begun
	AttemptID int64
	Worker    string
	Ending    string       // "" while it is open
	Next      int          // the number of the attempt after it; 0: none
	Live      int64        // bytes that the live log has
	Artifact  *LogArtifact // that replaces the live log; nil: none, or not yet
}

// LogArtifact is the file that has the whole log of an attempt.
type LogArtifact struct {
	ID     int64
	Path   string
	SHA256 string
	Size   int64
}

// Size is how many bytes there are to read now.
func (s LogState) Size() int64 {
	if s.Artifact != nil {
		return s.Artifact.Size
	}
	return s.Live
}

// Full says that the live log is as long as it may be, and that nothing has
// replaced it yet.
func (s LogState) Full() bool { return s.Artifact == nil && s.Live >= MaxLiveLog }

// Ended says that nothing will be added to the log of this attempt.
func (s LogState) Ended() bool { return s.Ending != "" }

// Complete says that nothing will be added to this log, nor will another attempt
// make one. One whose work request was aborted may still be stopping.
func (s LogState) Complete() bool {
	return s.Status.Ended() && s.Next == 0 && (s.Attempt == 0 || s.Ended())
}

// LogState reads how the log of an attempt, given by its number, stands: of the
// newest one for 0. It is cheap: followers have it read several times a second.
func (db *DB) LogState(ctx context.Context, workRequest int64, attempt int) (s LogState, err error) {
	var (
		artifact  *int64
		path, sum *string
		size      *int64
		what      = fmt.Sprintf("work request %d", workRequest)
	)
	err = db.pool.QueryRow(ctx, `
		SELECT r.status, r.result, coalesce((SELECT username FROM users WHERE id = r.aborted_by), ''),
		       coalesce(a.number, 0), coalesce(a.id, 0), coalesce(k.name, ''), coalesce(a.ending, ''),
		       coalesce((SELECT min(number) FROM attempts n WHERE n.work_request_id = r.id AND n.number > a.number), 0),
		       coalesce((SELECT start + octet_length(chunk) FROM work_request_logs l
		                  WHERE l.work_request_id = r.id AND l.attempt_id = a.id ORDER BY start DESC LIMIT 1), 0),
		       f.artifact_id, f.path, encode(f.sha256, 'hex'), f.size
		  FROM work_requests r
		  LEFT JOIN LATERAL (SELECT id, number, worker_id, ending FROM attempts
		         WHERE work_request_id = r.id AND ($2 = 0 OR number = $2) ORDER BY number DESC LIMIT 1) a ON true
		  LEFT JOIN workers k ON k.id = a.worker_id
		  LEFT JOIN LATERAL (SELECT f.artifact_id, f.path, f.sha256, f.size FROM artifacts x JOIN artifact_files f ON f.artifact_id = x.id
		         WHERE x.created_by_work_request = r.id AND x.created_by_attempt = a.id AND a.ending = 'completed' AND x.complete AND `+isLog+`
		         ORDER BY x.category = 'debian:package-build-log' DESC, x.id DESC, f.path LIMIT 1) f ON true
		 WHERE r.id = $1`, workRequest, attempt).
		Scan(&s.Status, &s.Result, &s.AbortedBy, &s.Attempt, &s.AttemptID, &s.Worker, &s.Ending, &s.Next, &s.Live, &artifact, &path, &sum, &size)
	if err != nil {
		return s, fault(err, what)
	}
	if attempt != 0 && s.Attempt == 0 {
		return s, debusine.Missingf("attempt %d of %s", attempt, what)
	}
	if artifact != nil {
		s.Artifact = &LogArtifact{ID: *artifact, Path: *path, SHA256: *sum, Size: *size}
	}
	return s, nil
}

// isLog is the condition that file f of artifact x is a log: builds leave an
// artifact of their own, other commands one among their debug logs.
const isLog = `(x.category = 'debian:package-build-log' OR x.category = 'debusine:work-request-debug-logs' AND f.path = 'cmd-output.log')`

// LiveLog reads a piece of an attempt's live log from offset, at most so many
// bytes. Less is no sign of the end; nothing is.
func (db *DB) LiveLog(ctx context.Context, workRequest, attempt, offset, most int64) ([]byte, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT substring(chunk FROM greatest($3 - start, 0)::int + 1) FROM work_request_logs
		 WHERE work_request_id = $1 AND attempt_id = $2 AND start < $3 + $4
		   AND start >= coalesce((SELECT start FROM work_request_logs WHERE work_request_id = $1 AND attempt_id = $2 AND start <= $3 ORDER BY start DESC LIMIT 1), 0)
		 ORDER BY start`, workRequest, attempt, offset, most)
	if err != nil {
		return nil, err
	}
	pieces, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if len(pieces) == 0 || err != nil {
		return nil, err
	}
	all := pieces[0]
	for _, p := range pieces[1:] {
		all = append(all, p...)
	}
	return all[:min(int64(len(all)), most)], nil
}

// SweepLogs deletes live logs that an artifact has replaced, and those of
// attempts without one that ended more than LogKeep ago; at most of 1,000
// attempts. It gives of how many.
func (db *DB) SweepLogs(ctx context.Context) (attempts int64, err error) {
	err = db.pool.QueryRow(ctx, `
		WITH RECURSIVE logged AS (
			(SELECT work_request_id, attempt_id FROM work_request_logs ORDER BY work_request_id, attempt_id LIMIT 1)
			UNION ALL
			SELECT n.* FROM logged p, LATERAL (SELECT work_request_id, attempt_id FROM work_request_logs l
				WHERE (l.work_request_id, l.attempt_id) > (p.work_request_id, p.attempt_id) ORDER BY work_request_id, attempt_id LIMIT 1) n),
		gone AS (
			SELECT g.* FROM logged g JOIN attempts a ON a.id = g.attempt_id
			 WHERE a.ended_at < now() - $1::interval
			    OR a.ending = 'completed' AND EXISTS (SELECT FROM artifacts x JOIN artifact_files f ON f.artifact_id = x.id
			         WHERE x.created_by_work_request = g.work_request_id AND x.created_by_attempt = a.id AND x.complete AND `+isLog+`)
			 LIMIT 1000),
		deleted AS (
			DELETE FROM work_request_logs l USING gone g WHERE l.work_request_id = g.work_request_id AND l.attempt_id = g.attempt_id)
		SELECT count(*) FROM gone`, LogKeep).Scan(&attempts)
	return attempts, err
}
