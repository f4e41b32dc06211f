package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"

	"debusine"
	"debusine/api"
	"debusine/files"
	"debusine/store"
)

// The faults that only HTTP has.
type (
	unauthenticated struct{ why string }
	disabled        struct{ worker string }
	tooLarge        struct{ limit int64 } // bytes
	brokenOff       struct{ error }       // the request's body ended early
	tooMany         struct {              // of something that is bounded
		what  string
		after time.Duration // when to try again
	}
)

func (u unauthenticated) Error() string { return u.why }
func (d disabled) Error() string        { return "worker " + d.worker + " is not enabled" }
func (t tooLarge) Error() string        { return fmt.Sprintf("the body is larger than %d bytes", t.limit) }

func (t tooMany) Error() string { return t.what }

// Unwrap gives the cause.
func (b brokenOff) Unwrap() error { return b.error }

// problem is the one table of faults and answers.
func problem(err error) api.Problem {
	var (
		missing   debusine.Missing
		invalid   debusine.Invalid
		forbidden debusine.Forbidden
		conflict  debusine.Conflict
		noToken   unauthenticated
		notYet    disabled
		large     tooLarge
		broken    brokenOff
		gap       files.Gap
		noRoom    files.Full
		many      tooMany
		logFull   store.LogFull
		routing   *echo.HTTPError
		pg        *pgconn.PgError
	)
	switch {
	case errors.As(err, &missing):
		return api.Problem{Status: http.StatusNotFound, Title: "Not found", Detail: err.Error(), Hint: missing.Hint}
	case errors.As(err, &invalid):
		return api.Problem{Status: http.StatusBadRequest, Title: "Invalid", Detail: err.Error(), Hint: invalid.Hint, ValidationErrors: invalid.Per}
	case errors.As(err, &forbidden):
		return api.Problem{Status: http.StatusForbidden, Title: "Forbidden", Detail: err.Error(), Hint: forbidden.Hint}
	case errors.As(err, &conflict):
		return api.Problem{Status: http.StatusConflict, Title: "Conflict", Detail: err.Error(), Hint: conflict.Hint}
	case errors.As(err, &noToken):
		return api.Problem{Status: http.StatusUnauthorized, Title: "Not authenticated", Detail: err.Error(), Hint: "check the token of your configuration, or ask an administrator for one"}
	case errors.As(err, &notYet):
		return api.Problem{Status: http.StatusLocked, Title: "Not enabled", Detail: err.Error(), Hint: "an administrator enables it with: debusine admin worker enable " + notYet.worker}
	case errors.As(err, &large):
		return api.Problem{Status: http.StatusRequestEntityTooLarge, Title: "Too large", Detail: err.Error()}
	case errors.As(err, &logFull):
		return api.Problem{Status: http.StatusRequestEntityTooLarge, Title: "Too large", Detail: err.Error(), Hint: "send no more: the artifact will have it all"}
	case errors.As(err, &many):
		return api.Problem{Status: http.StatusTooManyRequests, Title: "Too many", Detail: err.Error(), Hint: fmt.Sprintf("try again in %v", many.after)}
	case errors.As(err, &gap):
		return api.Problem{Status: http.StatusRequestedRangeNotSatisfiable, Title: "Not the next piece", Detail: err.Error(), Hint: fmt.Sprintf("go on from byte %d", gap.Have)}
	case errors.As(err, &noRoom):
		return api.Problem{Status: http.StatusInsufficientStorage, Title: "Out of space", Detail: "the file store is full; nothing of the file was kept", Hint: "tell the server's administrator"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return api.Problem{Status: http.StatusRequestTimeout, Title: "Too slow", Detail: "the request made no progress"}
	case errors.As(err, &broken):
		return api.Problem{Status: http.StatusBadRequest, Title: "Broken off", Detail: "the body ended early"}
	case errors.As(err, &routing):
		return api.Problem{Status: routing.Code, Title: http.StatusText(routing.Code), Hint: "see /api/openapi.json"}
	case errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "54")):
		// Data exceptions and program limits: what was given cannot be kept.
		return api.Problem{Status: http.StatusBadRequest, Title: "Invalid", Detail: "a value is out of range or malformed"}
	case away(err):
		return api.Problem{Status: http.StatusServiceUnavailable, Title: "Not available", Detail: "the database does not answer", Hint: "try again in some seconds"}
	}
	return api.Problem{Status: http.StatusInternalServerError, Title: "Internal error"}
}

// away says that PostgreSQL, not the request, is to blame, and that trying
// again may help.
func away(err error) bool {
	var (
		connect *pgconn.ConnectError
		pg      *pgconn.PgError
		network net.Error
	)
	switch {
	case errors.As(err, &connect):
		return true
	case errors.As(err, &pg):
		// Connection, resources, operator intervention: PostgreSQL's classes.
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") || strings.HasPrefix(pg.Code, "57P")
	case errors.As(err, &network), pgconn.SafeToRetry(err), pgconn.Timeout(err):
		return true
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "conn closed")
}

// answerFault turns any error of a handler into problem+json. What nobody can
// do anything about is logged with the id that the answer carries, and told to
// nobody else.
func (s *Server) answerFault(err error, c echo.Context) {
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody listens any more
	}
	p := problem(err)
	if p.Status >= 500 {
		id := fmt.Sprintf("%x", requestID())
		s.log.Error("request failed", "request", id, "method", c.Request().Method, "path", c.Request().URL.Path, "status", p.Status, "error", err)
		if p.Status == http.StatusInternalServerError {
			p.Detail = "this is a defect; the server's log has it as request " + id
		}
	}
	if c.Response().Committed {
		panic(http.ErrAbortHandler) // an answer that broke must not look whole
	}
	header := c.Response().Header()
	switch p.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		header.Set("Retry-After", "2")
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusRequestEntityTooLarge:
		header.Set("Connection", "close")
	}
	raw := problemJSON(p, strings.Contains(c.Request().Header.Get("Accept"), "json"))
	if err := c.Blob(p.Status, "application/problem+json", raw); err != nil {
		s.log.Debug("answering a fault", "error", err)
	}
}
