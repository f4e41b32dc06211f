package debusine

import (
	"errors"
	"fmt"
	"strings"
)

// The four faults that a caller can do something about. Everything else is a
// defect or an outage and travels as an ordinary error. Each edge (HTTP,
// activities, command line) maps them once.

// Missing says that a thing does not exist, or is not visible to who asks:
// the two are never told apart.
type Missing struct {
	What string // what was looked for: "artifact 12"
	Hint string // what to do about it; may be empty
}

const notFound = " not found"

func (m Missing) Error() string { return m.What + notFound }

// Invalid says that what was given cannot be accepted as it is.
type Invalid struct {
	What string            // a sentence: "architecture \"amd46\" is unknown"
	Hint string            // what to do about it; may be empty
	Per  map[string]string // messages by field, where the input has fields
}

func (i Invalid) Error() string { return i.What }

// Forbidden says that the thing may be seen, but this may not be done to it.
type Forbidden struct {
	What string // a sentence: "only a contributor may create artifacts"
	Hint string
}

func (f Forbidden) Error() string { return f.What }

// Conflict says that the state of a thing does not allow the change now.
type Conflict struct {
	What string // a sentence: "work request 12 has already ended"
	Hint string
}

func (c Conflict) Error() string { return c.What }

// Missingf makes a Missing from the words for the thing, as fmt.Sprintf does.
func Missingf(format string, args ...any) error {
	return Missing{What: fmt.Sprintf(format, args...)}
}

// Invalidf makes an Invalid from a sentence, as fmt.Sprintf does.
func Invalidf(format string, args ...any) error {
	return Invalid{What: fmt.Sprintf(format, args...)}
}

// Forbiddenf makes a Forbidden from a sentence, as fmt.Sprintf does.
func Forbiddenf(format string, args ...any) error {
	return Forbidden{What: fmt.Sprintf(format, args...)}
}

// Conflictf makes a Conflict from a sentence, as fmt.Sprintf does.
func Conflictf(format string, args ...any) error {
	return Conflict{What: fmt.Sprintf(format, args...)}
}

// WithHint adds what to do to a fault, and keeps the words that it was wrapped
// in; other errors come back unchanged.
func WithHint(err error, hint string) error {
	var (
		m Missing
		i Invalid
		f Forbidden
		c Conflict
	)
	switch {
	case errors.As(err, &m):
		m.What, m.Hint = strings.TrimSuffix(err.Error(), notFound), hint
		return m
	case errors.As(err, &i):
		i.What, i.Hint = err.Error(), hint
		return i
	case errors.As(err, &f):
		f.What, f.Hint = err.Error(), hint
		return f
	case errors.As(err, &c):
		c.What, c.Hint = err.Error(), hint
		return c
	}
	return err
}

// IsFault says that an error is one that no repetition mends: a missing thing,
// invalid input, a right that is lacking, a state that forbids it.
func IsFault(err error) bool {
	return errors.As(err, &Missing{}) || errors.As(err, &Invalid{}) || errors.As(err, &Forbidden{}) || errors.As(err, &Conflict{})
}
