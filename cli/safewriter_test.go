package cli

import (
	"bytes"
	"testing"
)

func TestLogsInAnyEncodingAreShownSafely(t *testing.T) {
	tests := []struct{ name, log, want string }{
		{"UTF-8", "café 日本\n", "café 日本\n"},
		{"Latin-1", "caf\xe9 x\n", "caf\ufffd x\n"},
		{"Shift-JIS", "\x82\xb1\x82\xf1\n", "\ufffd\ufffd\ufffd\ufffd\n"},
		{"UTF-16", "\xff\xfeh\x00i\x00\n\x00", "\ufffd\ufffdhi\n"},
		{"NUL and control characters", "a\x00\x01\x07\x08\x0e\x7fb\n", "ab\n"},
		{"a cleared screen and a title", "\x1b[2J\x1b]0;owned\x07ok\n", "[2J]0;ownedok\n"},
		{"escapes of eight bits", "\x9b2J\x9d0;x\x9c \u009b2J\n", "\ufffd2J\ufffd0;x\ufffd 2J\n"},
		{"a character that never ends", "x\xe6\x97", "x\ufffd\ufffd"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for size := 1; size <= len(test.log); size++ {
				var out bytes.Buffer
				w := &safeWriter{to: &out}
				for left := []byte(test.log); len(left) > 0; {
					n := min(size, len(left))
					if wrote, err := w.Write(left[:n]); wrote != n || err != nil {
						t.Fatal(wrote, err)
					}
					left = left[n:]
				}
				if err := w.flush(); err != nil || out.String() != test.want {
					t.Errorf("in pieces of %d: %q, %v", size, out.String(), err)
				}
			}
		})
	}
}
