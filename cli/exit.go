package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/client"
)

// The exit codes.
const (
	exitFailed  = 1 // the work did not go well
	exitUsage   = 2 // the command line makes no sense
	exitRefused = 3 // configuration, network or server say no
	exitBreak   = 130
)

// usage is a command line that makes no sense.
type usage struct{ what, hint string }

func (u usage) Error() string { return u.what }

// failed is work that was waited for and did not go well.
type failed struct{ what, hint string }

func (f failed) Error() string { return f.what }

// refused is anything that went wrong between here and the server.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// stopped is Ctrl-C; what says how things stand.
type stopped struct{ what, hint string }

func (s stopped) Error() string { return s.what }

// report prints an error with what to do about it, and gives the exit code.
func report(to io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code, hint := classify(err)
	if text := err.Error(); text != "" {
		fmt.Fprintf(to, "debusine: %s\n", text)
	}
	var invalid debusine.Invalid
	if errors.As(err, &invalid) {
		for _, key := range slices.Sorted(maps.Keys(invalid.Per)) {
			if !strings.Contains(err.Error(), invalid.Per[key]) {
				fmt.Fprintf(to, "  %s: %s\n", key, invalid.Per[key])
			}
		}
	}
	if hint != "" {
		fmt.Fprintf(to, "hint: %s\n", hint)
	}
	return code
}

// classify is the one table of errors, exit codes and hints.
func classify(err error) (code int, hint string) {
	var (
		u  usage
		f  failed
		s  stopped
		r  refused
		ec cli.ExitCoder
	)
	switch {
	case errors.As(err, &u):
		return exitUsage, u.hint
	case errors.As(err, &f):
		return exitFailed, f.hint
	case errors.As(err, &s):
		return exitBreak, s.hint
	case errors.As(err, &r):
		return exitRefused, hintOf(err)
	case errors.As(err, &ec):
		return ec.ExitCode(), ""
	case strings.HasPrefix(err.Error(), "Required flag"): // urfave/cli exports no type for it
		return exitUsage, ""
	}
	return exitFailed, hintOf(err)
}

// hintOf is what a fault says to do, or what its kind suggests.
func hintOf(err error) string {
	var (
		missing     debusine.Missing
		invalid     debusine.Invalid
		forbidden   debusine.Forbidden
		conflict    debusine.Conflict
		unreachable client.Unreachable
		answered    client.Answered
	)
	switch {
	case errors.As(err, &missing):
		return missing.Hint
	case errors.As(err, &invalid):
		return invalid.Hint
	case errors.As(err, &forbidden):
		return forbidden.Hint
	case errors.As(err, &conflict):
		return conflict.Hint
	case errors.As(err, &unreachable):
		return "is the server running, and is api-url right in the configuration?"
	case errors.As(err, &answered):
		if answered.Hint == "" && answered.Status >= 500 {
			return "this is the server's fault: its log says more"
		}
		return answered.Hint
	}
	return ""
}
