package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// Mail is a mail of the outbox.
type Mail struct {
	ID          int64
	Channel     string
	WorkRequest int64
	MessageID   string // without the angles; the same each time it is sent
	Sender      string // of the envelope
	Recipients  []string
	Message     debusine.Message // what the headers say
	Body        string
	CreatedAt   time.Time
	Tries       int // this one included
}

// NextMail takes the mail that is due first, for the time of lease: who takes it
// and dies leaves it to be sent again after that. Missing when none is due.
func (db *DB) NextMail(ctx context.Context, lease time.Duration) (m Mail, err error) {
	err = db.pool.QueryRow(ctx, `
		UPDATE mails SET due = now() + $1::interval, tries = tries + 1
		 WHERE id = (SELECT id FROM mails WHERE ended_at IS NULL AND due <= now() ORDER BY due, id LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING id, channel, work_request_id, message_id, sender, recipients, headers, body, created_at, tries`, lease).
		Scan(&m.ID, &m.Channel, &m.WorkRequest, &m.MessageID, &m.Sender, &m.Recipients, &m.Message, &m.Body, &m.CreatedAt, &m.Tries)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, debusine.Missingf("a mail to send")
	}
	return m, err
}

// Posted is what came of an attempt to send a mail: who has yet to get it, and what was said about those who
// never will.
type Posted struct {
	Later   []string // recipients to try again
	After   time.Duration
	Refused bool // for good, of at least one recipient
	Problem string
}

// MarkPosted notes what came of an attempt to send a mail.
func (db *DB) MarkPosted(ctx context.Context, id int64, p Posted) error {
	_, err := db.pool.Exec(ctx, `
		UPDATE mails SET recipients = CASE WHEN cardinality($2::text[]) > 0 THEN $2 ELSE recipients END, due = now() + $3::interval,
		       ended_at = CASE WHEN cardinality($2::text[]) = 0 THEN now() END, failed = failed OR $4,
		       problem = CASE WHEN $5 = '' THEN problem ELSE left($5, 1000) END
		 WHERE id = $1 AND ended_at IS NULL`, id, notNil(p.Later), p.After, p.Refused, p.Problem)
	return fault(err, fmt.Sprintf("mail %d", id))
}

// WaitingMails counts the mails that were not sent yet.
func (db *DB) WaitingMails(ctx context.Context) (n int, err error) {
	err = db.pool.QueryRow(ctx, `SELECT count(*) FROM mails WHERE ended_at IS NULL`).Scan(&n)
	return n, err
}
