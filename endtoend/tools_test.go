package endtoend

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine/client"
)

func (h *house) pid(t *testing.T, part string) int {
	t.Helper()
	n, err := h.Pid(part)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// database is a look behind the API, closed with the test. It is opened anew
// each time: the tests kill PostgreSQL.
func (h *house) database(t *testing.T) *again {
	t.Helper()
	return &again{h}
}

type again struct{ house *house }

type row struct{ scan func(into ...any) error }

func (r row) Scan(into ...any) error { return r.scan(into...) }

// QueryRow asks over a connection of its own.
func (a *again) QueryRow(ctx context.Context, sql string, args ...any) row {
	return row{func(into ...any) error {
		conn, err := pgx.Connect(ctx, a.house.DSN())
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		return conn.QueryRow(ctx, sql, args...).Scan(into...)
	}}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// alive says that a process exists and is not a zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(raw), ") Z ")
}

// logOf reads the whole log of a work request as it is now.
func logOf(t *testing.T, c *client.Client, id int64) (string, error) {
	t.Helper()
	var log strings.Builder
	_, err := c.WorkRequestLog(t.Context(), id, client.LogPosition{}, &log)
	return log.String(), err
}

// signal sends a signal to the worker alone, by name.
func (m *machine) signal(t *testing.T, name string) {
	t.Helper()
	number := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1}[name]
	if err := m.cmd.Process.Signal(number); err != nil {
		t.Fatal(err)
	}
}
