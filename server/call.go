package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"debusine"
	"debusine/store"
)

// route is one line of the table: what is done where, who may, and what goes in
// and out (for the OpenAPI document).
type route struct {
	method string
	path   string // with :parameters, and a * for the rest
	verb   debusine.Verb
	handle func(*call) error
	about  string
	body   any // nil: none
	answer any // nil: no JSON
	status int // of success
	raw    bool
}

// pattern is the path as Echo knows it, without the slash at the end, which
// tidyPath takes away.
func (r route) pattern() string { return strings.TrimSuffix(r.path, "/") }

// call is one request: who calls, on which route.
type call struct {
	echo.Context
	who   debusine.Principal
	route route
	asked bool
}

func (c *call) ctx() context.Context { return c.Request().Context() }

// allow asks for the route's own right.
func (c *call) allow(on debusine.Resource) error { return c.allowVerb(c.route.verb, on) }

func (c *call) allowVerb(verb debusine.Verb, on debusine.Resource) error {
	c.asked = true
	return c.who.Allow(verb, on)
}

// user is the id for lists that show what may be seen: 0 is everybody.
func (c *call) user() int64 {
	if c.who.Kind == debusine.Person {
		return c.who.UserID
	}
	return 0
}

// scope is the one that the request is about.
func (c *call) scope() string {
	if s := c.Request().Header.Get("X-Debusine-Scope"); s != "" {
		return s
	}
	return "debusine"
}

// checkScope refuses a list of what is in a scope that does not exist.
func (s *Server) checkScope(c *call) error {
	if name := c.Request().Header.Get("X-Debusine-Scope"); name != "" {
		return s.db.CheckScope(c.ctx(), name)
	}
	return nil
}

// number reads a path parameter that counts things: no number, no such thing.
func (c *call) number(name, what string) (int64, error) {
	n, err := strconv.ParseInt(c.Param(name), 10, 64)
	if err != nil || n <= 0 {
		return 0, debusine.WithHint(debusine.Missingf("%s %.80q", what, c.Param(name)), what+"s are named by their number")
	}
	return n, nil
}

// query reads a number from the query; absent is 0.
func (c *call) query(name string) (int64, error) {
	text := c.QueryParam(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, debusine.Invalid{What: fmt.Sprintf("%s must be a number, not %.80q", name, text), Per: map[string]string{name: "not a number"}}
	}
	return n, nil
}

const (
	longestBody = 16 << 20 // bytes of JSON
	deepestBody = 64       // arrays and objects within one another
)

// bind reads the JSON body into to. Unknown keys are refused: a misspelt one
// would otherwise be ignored in silence.
func (c *call) bind(to any) error {
	raw, err := c.body(longestBody)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return debusine.Invalidf("the body is empty: a JSON object is wanted")
	}
	if !utf8.Valid(raw) || bytes.Contains(raw, []byte(`\u0000`)) {
		return debusine.Invalidf("the body must be UTF-8 without NUL characters")
	}
	if err := bounded(raw); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return bindFault(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return debusine.Invalidf("there is more than one value in the body")
	}
	return nil
}

// body reads at most limit bytes.
func (c *call) body(limit int64) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, c.Request().Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, tooLarge{limit}
	}
	if err != nil {
		return nil, brokenOff{err}
	}
	return raw, nil
}

func bindFault(err error) error {
	var (
		typed   *json.UnmarshalTypeError
		invalid debusine.Invalid
	)
	if errors.As(err, &invalid) {
		return invalid
	}
	if errors.As(err, &typed) {
		field := typed.Field
		if field == "" {
			field = "the body"
		}
		return debusine.Invalid{What: fmt.Sprintf("%s must not be a %s", field, typed.Value), Per: map[string]string{field: "must be a " + typed.Type.String()}}
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		field = strings.Trim(field, `"`)
		return debusine.Invalid{What: fmt.Sprintf("key %.80q is unknown", field), Per: map[string]string{fmt.Sprintf("%.80s", field): "unknown"}}
	}
	return debusine.Invalidf("the body is not JSON of the right shape: %v", err)
}

// bounded looks at what encoding/json and PostgreSQL's jsonb disagree about:
// depth, and numbers beyond all measure. Raw JSON goes from one to the other.
func bounded(raw []byte) error {
	depth, inString, number := 0, false, 0
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		digit := !inString && (c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E')
		if !digit {
			number = 0
		} else if number++; number > longestNumber || (c|0x20 == 'e' && number > 1 && longExponent(raw[i+1:])) {
			return debusine.Invalidf("a number in the body is out of range")
		}
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > deepestBody {
				return debusine.Invalidf("the body nests more than %d levels deep", deepestBody)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

const longestNumber = 400 // characters

// longExponent says that an exponent has more than three digits.
func longExponent(rest []byte) bool {
	rest = bytes.TrimLeft(rest, "+-0")
	for n, c := range rest {
		if c < '0' || c > '9' {
			return false
		}
		if n >= 3 {
			return true
		}
	}
	return false
}

// reply answers with the route's status and JSON.
func (c *call) reply(v any) error { return c.replyWith(c.route.status, v) }

func (c *call) replyWith(status int, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return c.Blob(status, "application/json", raw)
}

// handler wraps a route: limits, who calls, panics.
func (s *Server) handler(r route) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		one := &call{Context: c, route: r}
		start := time.Now()
		defer func() {
			if broken := recover(); broken != nil {
				if broken == http.ErrAbortHandler {
					panic(broken)
				}
				err = fmt.Errorf("panic: %v\n%s", broken, debug.Stack())
			}
			if err == nil && !one.asked {
				s.unasked(r)
			}
			s.log.Debug("request", "method", r.method, "path", c.Request().URL.Path, "error", err, "duration", time.Since(start))
		}()
		if !r.raw {
			if c.Request().ContentLength > longestBody {
				return tooLarge{longestBody}
			}
			deadline := time.Now().Add(quickWait)
			control := http.NewResponseController(c.Response().Writer)
			// A writer without deadlines is a test's.
			_, _ = control.SetReadDeadline(deadline), control.SetWriteDeadline(deadline)
		}
		if one.who, err = s.principal(c.Request(), r); err != nil {
			return err
		}
		return r.handle(one)
	}
}

// principal finds out who calls.
func (s *Server) principal(r *http.Request, on route) (debusine.Principal, error) {
	secret := secretOf(r)
	if secret == "" || on.verb == debusine.RegisterWorker {
		return debusine.Principal{}, nil
	}
	p, err := s.callers.find(r.Context(), secret)
	var missing debusine.Missing
	switch {
	case errors.As(err, &missing):
		return p, unauthenticated{"the token is unknown, disabled or expired"}
	case err != nil:
		return p, fmt.Errorf("finding out who calls: %w", err)
	case p.Kind == debusine.Attempt && p.Ending != "" && on.verb != debusine.CompleteWork:
		return p, unauthenticated{"the attempt has ended: " + p.Ending}
	case (p.Kind == debusine.Machine || p.Kind == debusine.Attempt) && !p.Enabled && on.verb != debusine.Anything:
		return p, disabled{p.Worker}
	case p.Kind == "worker-activation":
		return p, unauthenticated{"an activation token only registers a worker"}
	}
	return p, nil
}

func secretOf(r *http.Request) string {
	if secret := r.Header.Get("Token"); secret != "" {
		return secret
	}
	if kind, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && (strings.EqualFold(kind, "Bearer") || strings.EqualFold(kind, "Token")) {
		return strings.TrimSpace(secret)
	}
	return ""
}

// tidyPath takes the decoded path without the slash at its end, and refuses
// what no name can hold.
func (s *Server) tidyPath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		query, err := u.Query(), error(nil)
		for _, values := range query {
			for _, v := range values {
				if !cleanText(v) {
					err = debusine.Invalidf("the query must be UTF-8 without control characters")
				}
			}
		}
		if !cleanText(u.Path) {
			err = debusine.Invalidf("the path must be UTF-8 without control characters")
		}
		if err != nil {
			return err
		}
		u.RawPath = ""
		if u.Path != "/" {
			u.Path = strings.TrimRight(u.Path, "/")
		}
		return next(c)
	}
}

func cleanText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// missingTags says which tags keep a pending work request from every enabled
// worker: those of the nearest one, and what machines demand that it lacks.
func (s *Server) missingTags(ctx context.Context, w *debusine.WorkRequest) error {
	if w.Status != debusine.Pending || w.TaskType != debusine.WorkerTask && w.TaskType != debusine.SigningTask {
		return nil
	}
	workers, gates, err := s.machines.all(ctx)
	if err != nil {
		return err
	}
	if w.TaskType == debusine.SigningTask {
		w.NoWorkerEnabled = !slices.ContainsFunc(workers, func(m debusine.Worker) bool { return m.Enabled && m.Type == signingWorker })
		w.SigningWaits, err = s.db.SigningWaits(ctx, w.ID)
		return err
	}
	var able, enabled int
	w.MissingTags, w.UnmetWorkerDemand, able, enabled = store.Lacks(workers, store.QueueTags{Name: w.Queue, Required: w.TagsRequired, Provided: gates[w.Queue]})
	w.NoWorkerCanTake, w.NoWorkerEnabled = able == 0, enabled == 0
	return nil
}
