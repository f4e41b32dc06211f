package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// isTerminal says that what is written is shown, and may steer what shows it.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// safeWriter keeps a log from doing things to a terminal: builds are not ours.
// Text in UTF-8, newline, tab and carriage return pass, and of escape sequences
// those that set a colour or the weight of letters. Close puts the colours back.
type safeWriter struct {
	to       io.Writer
	rest     []byte // the beginning of a letter or sequence that was cut
	until    bool   // within a string for the terminal, such as a title: dropped up to its end
	coloured bool
}

// longestSequence is how long a colour may be, in bytes; what is longer is none.
const longestSequence = 64

// Write prints what is harmless of p.
func (w *safeWriter) Write(p []byte) (int, error) {
	in := append(w.rest, p...)
	w.rest = nil
	var out bytes.Buffer
	for len(in) > 0 {
		n, cut := w.next(in, &out)
		if cut {
			w.rest = bytes.Clone(in)
			break
		}
		in = in[n:]
	}
	if _, err := w.to.Write(out.Bytes()); err != nil {
		return 0, fmt.Errorf("printing: %w", err)
	}
	return len(p), nil
}

// Close prints a letter that remained cut as what it is, and ends the colours.
func (w *safeWriter) Close() error {
	var end string
	if len(w.rest) > 0 && w.rest[0] != '\x1b' {
		end = strings.Repeat("\ufffd", len(w.rest))
	}
	if w.rest = nil; w.coloured {
		end += "\x1b[0m"
	}
	if _, err := io.WriteString(w.to, end); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// next takes one letter or sequence; cut when it may not be whole.
func (w *safeWriter) next(in []byte, out *bytes.Buffer) (n int, cut bool) {
	if w.until {
		return w.skipString(in)
	}
	if in[0] == 0x1b {
		return w.escape(in, out)
	}
	if !utf8.FullRune(in) {
		return 0, len(in) < utf8.UTFMax
	}
	r, n := utf8.DecodeRune(in)
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		out.WriteRune(r)
	case r < ' ' || r >= 0x7f && r < 0xa0:
		// C0, DEL and C1 are dropped; C1 would begin sequences too.
	case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
		// What turns the direction of writing makes text look like another.
	default:
		out.WriteRune(r) // U+FFFD for what is no UTF-8
	}
	return n, false
}

// escape drops an escape sequence (ECMA-48), unless it is a colour.
func (w *safeWriter) escape(in []byte, out *bytes.Buffer) (n int, cut bool) {
	if len(in) < 2 {
		return 0, true
	}
	switch in[1] {
	case ']', 'P', 'X', '^', '_':
		w.until = true
		return 2, false
	case '[':
	default:
		return plainEscape(in)
	}
	for n = 2; n < len(in) && n <= longestSequence; n++ {
		c := in[n]
		if c >= 0x20 && c < 0x40 {
			continue
		}
		if c < 0x40 || c > 0x7e {
			return n, false // broken off: what broke it is looked at by itself
		}
		if c == 'm' && isColour(in[2:n]) {
			out.Write(in[:n+1])
			w.coloured = true
		}
		return n + 1, false
	}
	if n > longestSequence {
		return n, false
	}
	return 0, true
}

// plainEscape drops a sequence of ESC, intermediates and one final byte, such as
// the ESC ( B that goes with a colour's end.
func plainEscape(in []byte) (n int, cut bool) {
	for n = 1; n < len(in) && n < longestSequence; n++ {
		if c := in[n]; c < 0x20 || c > 0x7e {
			return n, false
		} else if c >= 0x30 {
			return n + 1, false
		}
	}
	return n, n < longestSequence
}

// skipString drops up to BEL or ST; a string that a newline interrupts has ended
// too, so that a build cannot hide the rest of its log.
func (w *safeWriter) skipString(in []byte) (n int, cut bool) {
	i := bytes.IndexAny(in, "\a\n\x1b")
	switch {
	case i < 0:
		return len(in), false
	case in[i] == '\x1b' && i+1 == len(in):
		return i, i == 0
	}
	w.until = false
	switch {
	case in[i] == '\a':
		i++
	case in[i] == '\x1b' && in[i+1] == '\\':
		i += 2
	}
	return i, false
}

// isColour says that the parameters of SGR set colours, weight or underlines
// only: nothing that blinks or is hidden.
func isColour(parameters []byte) bool {
	words := bytes.Split(parameters, []byte(";"))
	for i := 0; i < len(words); i++ {
		if len(words[i]) == 0 {
			continue // 0, back to normal
		}
		n, err := strconv.Atoi(string(words[i]))
		switch {
		case err != nil || n < 0:
			return false
		case n == 38 || n == 48: // 5;N or 2;R;G;B follow
			if i++; i >= len(words) {
				return false
			}
			i += map[string]int{"5": 1, "2": 3}[string(words[i])]
		case n <= 4, n >= 21 && n <= 24, n == 7, n == 27, n >= 30 && n <= 49, n >= 90 && n <= 107:
		default:
			return false
		}
	}
	return true
}
