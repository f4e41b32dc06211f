package cli

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// safeWriter keeps a log from doing things to a terminal: builds are not ours.
// UTF-8 passes, as do newline, tab and carriage return; what is neither comes
// out as U+FFFD, and control characters not at all. A character that is cut by
// the end of a piece is kept for the next one.
type safeWriter struct {
	to   io.Writer
	rest []byte // the beginning of a character
}

// Write takes all of p.
func (w *safeWriter) Write(p []byte) (int, error) {
	text := append(w.rest, p...)
	cut := len(text) - begun(text)
	w.rest = bytes.Clone(text[cut:])
	return len(p), w.print(text[:cut])
}

// flush prints a character that remained cut.
func (w *safeWriter) flush() error {
	rest := w.rest
	w.rest = nil
	return w.print(rest)
}

func (w *safeWriter) print(text []byte) error {
	clean := bytes.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
	if _, err := w.to.Write(clean); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// begun is how many bytes at the end begin a character that goes on.
func begun(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}
