package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
)

// mostWaiting is how many mails of one workspace may wait to be sent.
const mostWaiting = 1000

// channelFor finds the channel of that name that work in a workspace may use.
func channelFor(ctx context.Context, q querier, workspace int64, name string) (c debusine.NotificationChannel, err error) {
	err = q.QueryRow(ctx, `
		SELECT c.name, c.method, c.data, c.fixed FROM notification_channels c JOIN workspaces w ON w.id = $1
		 WHERE c.name = $2 AND (c.scope_id IS NULL OR c.scope_id = w.scope_id) AND (c.workspace_id IS NULL OR c.workspace_id = w.id)`,
		workspace, name).Scan(&c.Name, &c.Method, &c.Message, &c.Fixed)
	return c, debusine.WithHint(fault(err, fmt.Sprintf("notification channel %.80q", name)), "an administrator makes channels: debusine admin notification-channel create")
}

// mailTo puts what a notification says over what its channel says.
func mailTo(c debusine.NotificationChannel, r task.Reaction) (debusine.Message, error) {
	said, err := r.Message()
	if err != nil {
		return said, err
	}
	if c.Fixed && (said.From != "" || said.To != nil || said.CC != nil) {
		return said, debusine.Invalidf("notification channel %q fixes who gets its mails: only the subject may be given", c.Name)
	}
	m := said.Over(c.Message)
	if err := m.Check(); err != nil {
		return m, err
	}
	if m.From == "" || len(m.To)+len(m.CC) == 0 {
		return m, debusine.Invalidf("notification channel %q: the mail has no sender or no recipient", c.Name)
	}
	return m, nil
}

// CheckReactions refuses notifications that could not be sent: for the one who
// asks for them, before there is a work request.
func (db *DB) CheckReactions(ctx context.Context, workspace int64, reactions task.Reactions) error {
	for _, event := range []task.Event{task.OnCreation, task.OnUnblock, task.OnAssignment, task.OnSuccess, task.OnFailure} {
		for _, r := range reactions.To(event) {
			if r.Action != task.SendNotification {
				continue
			}
			c, err := channelFor(ctx, db.pool, workspace, r.Channel)
			if err == nil {
				_, err = mailTo(c, r)
			}
			var missing debusine.Missing
			if errors.As(err, &missing) { // of the request that names it
				err = debusine.Invalid{What: missing.Error(), Hint: missing.Hint, Per: map[string]string{"event_reactions": "names no channel of the workspace"}}
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// notify puts a mail into the outbox.
func (a actor) notify(ctx context.Context, tx pgx.Tx, r task.Reaction) error {
	c, err := channelFor(ctx, tx, a.workspace, r.Channel)
	if err != nil {
		return err
	}
	m, err := mailTo(c, r)
	if err != nil {
		return err
	}
	var waiting int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM mails WHERE workspace_id = $1 AND ended_at IS NULL`, a.workspace).Scan(&waiting); err != nil {
		return err
	}
	if waiting >= mostWaiting {
		return debusine.Conflictf("%d notifications of the workspace wait to be sent already", waiting)
	}
	result, text, err := a.tell(ctx, tx)
	if err != nil {
		return err
	}
	m.Subject = m.Title(a.id, result)
	sender, to, err := envelope(c, m)
	if err != nil {
		return err
	}
	headers, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO mails (channel, workspace_id, work_request_id, message_id, sender, recipients, headers, body)
		SELECT $1, $2, $3, 'debusine.' || name || '.' || $3::bigint || '.' || gen_random_uuid() || $4, $5, $6, $7, $8 FROM installation`,
		c.Name, a.workspace, a.id, sender[strings.LastIndexByte(sender, '@'):], sender, to, headers, text)
	return fault(err, "the notification")
}

// envelope are the plain addresses: the sender is the channel's own, whoever the
// mail says that it is from.
func envelope(c debusine.NotificationChannel, m debusine.Message) (sender string, to []string, err error) {
	from := c.From
	if from == "" {
		from = m.From
	}
	s, err := debusine.MailAddress(from)
	if err != nil {
		return "", nil, err
	}
	for _, text := range append(slices.Clone(m.To), m.CC...) {
		address, err := debusine.MailAddress(text)
		if err != nil {
			return "", nil, err
		}
		if !slices.Contains(to, address.Address) {
			to = append(to, address.Address)
		}
	}
	return s.Address, to, nil
}

// tell is the result in a word, or the status while there is none, and the text
// of a mail. What it says may come from a build machine: it is plain text.
func (a actor) tell(ctx context.Context, tx pgx.Tx) (result, text string, err error) {
	var (
		name, place string
		about       task.Description
		reason      string
	)
	err = tx.QueryRow(ctx, `
		SELECT coalesce(nullif(r.result, ''), r.status), r.task_name, s.name || '/' || w.name, coalesce(r.dynamic_task_data, '{}'),
		       left(coalesce(r.output_data->>'skip_reason', r.output_data->'errors'->0->>'message', ''), 1000)
		  FROM work_requests r JOIN workspaces w ON w.id = r.workspace_id JOIN scopes s ON s.id = w.scope_id WHERE r.id = $1`, a.id).
		Scan(&result, &name, &place, &about, &reason)
	if err != nil {
		return "", "", err
	}
	var b strings.Builder
	for _, line := range [][2]string{{"Work request", fmt.Sprint(a.id)}, {"Result", result}, {"Task", name}, {"About", about.ParameterSummary},
		{"Architecture", about.Architecture}, {"Suite", about.Suite}, {"Workspace", place}, {"Reason", reason}} {
		if line[1] != "" {
			fmt.Fprintf(&b, "%-13s %s\n", line[0]+":", plainLine(line[1]))
		}
	}
	fmt.Fprintf(&b, "\nSee it with: debusine work-request show %d\n", a.id)
	return result, b.String(), nil
}

func plainLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
