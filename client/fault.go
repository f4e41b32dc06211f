package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"debusine"
	"debusine/api"
)

// Unreachable says that the server could not be reached, or that the
// connection to it broke.
type Unreachable struct {
	Address string // the API's address, without the token
	Err     error
}

func (u Unreachable) Error() string {
	return fmt.Sprintf("the server at %s cannot be reached: %v", u.Address, u.Err)
}

// Unwrap is the error of the network.
func (u Unreachable) Unwrap() error { return u.Err }

// forGood says that waiting does not help: the certificate is wrong.
func (u Unreachable) forGood() bool {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
	)
	return errors.As(u.Err, &unknown) || errors.As(u.Err, &name) || errors.As(u.Err, &invalid) || errors.As(u.Err, &verify) ||
		errors.Is(u.Err, context.Canceled)
}

// Answered is an answer that is none of the faults that a caller can mend: an
// outage, or a defect of the server.
type Answered struct {
	Status     int    // of HTTP
	What       string // what the server said
	Hint       string
	RetryAfter time.Duration // as the server asked; 0 when it did not
}

func (a Answered) Error() string {
	if a.What == "" {
		return fmt.Sprintf("the server answered %d %s", a.Status, http.StatusText(a.Status))
	}
	return fmt.Sprintf("the server answered %d: %s", a.Status, a.What)
}

func (a Answered) passing() bool {
	switch a.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests,
		http.StatusRequestTimeout:
		return true
	}
	return false
}

// unreachable drops what net/http says around the cause, and its URL: a
// question in it may be long, and the address is told anyway.
func (c *Client) unreachable(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the connection was cut: %w", err)
	}
	return Unreachable{Address: c.o.BaseURL, Err: err}
}

// maxProblem is how much of a refusal is read, in bytes.
const maxProblem = 1 << 20

// fault reads a refusal.
func fault(answer *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(answer.Body, maxProblem))
	var p api.Problem
	if json.Unmarshal(raw, &p) != nil || p.Title == "" {
		p = lenient(raw)
	}
	what := sentence(p)
	switch answer.StatusCode {
	case http.StatusNotFound:
		return debusine.Missing{What: strings.TrimSuffix(orElse(what, "what you asked for"), " not found"), Hint: p.Hint}
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusMethodNotAllowed:
		return debusine.Invalid{What: orElse(what, "the server does not take the request"), Hint: p.Hint, Per: p.ValidationErrors}
	case http.StatusUnauthorized, http.StatusForbidden:
		return debusine.Forbidden{What: orElse(what, "the server does not allow it"), Hint: p.Hint}
	case http.StatusConflict, http.StatusLocked, http.StatusPreconditionFailed:
		return debusine.Conflict{What: orElse(what, "the state of things does not allow it"), Hint: p.Hint}
	}
	return Answered{Status: answer.StatusCode, What: what, Hint: p.Hint, RetryAfter: retryAfter(answer)}
}

// sentence is what the fault says. A title of a few words names its kind only,
// which the caller is told anyway; Debusine's own titles are sentences.
func sentence(p api.Problem) string {
	switch {
	case p.Detail == "":
		return p.Title
	case len(strings.Fields(p.Title)) <= 4:
		return p.Detail
	}
	return strings.TrimSuffix(p.Title, ".") + ": " + p.Detail
}

// lenient reads what is no Problem of ours: Debusine's own validation_errors
// may be any JSON, and a proxy on the way answers HTML.
func lenient(raw []byte) api.Problem {
	var loose struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Errors any    `json:"validation_errors"`
	}
	if json.Unmarshal(raw, &loose) != nil {
		return api.Problem{}
	}
	p := api.Problem{Title: loose.Title, Detail: loose.Detail}
	if p.Title == "" {
		p.Title, p.Detail = p.Detail, ""
	}
	if loose.Errors != nil {
		p.ValidationErrors = map[string]string{"request": fmt.Sprint(loose.Errors)}
	}
	return p
}

func retryAfter(answer *http.Response) time.Duration {
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func quoted(s string) string { return fmt.Sprintf("%.200q", s) }
