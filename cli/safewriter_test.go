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
		{"a cleared screen and a title", "\x1b[2J\x1b]0;owned\x07ok\n", "ok\n"},
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
				if err := w.Close(); err != nil || out.String() != test.want {
					t.Errorf("in pieces of %d: %q, %v", size, out.String(), err)
				}
			}
		})
	}
}

func TestWhatATerminalIsShown(t *testing.T) {
	for name, test := range map[string]struct{ log, want string }{
		"text in any language":           {"grüße 編\tx\r\n", "grüße 編\tx\r\n"},
		"a colour, put back at the end":  {"\x1b[1;31mred", "\x1b[1;31mred\x1b[0m"},
		"many colours":                   {"\x1b[38;5;8ma\x1b[48;2;1;5;8mb\x1b[mc", "\x1b[38;5;8ma\x1b[48;2;1;5;8mb\x1b[mc\x1b[0m"},
		"hidden text is shown":           {"\x1b[8mrm -rf\x1b[5mx\x1b[1;8my", "rm -rfxy"},
		"clearing, moving, asking":       {"a\x1b[2Jb\x1b[1;1Hc\x1b[6nd\x1b[?1049he", "abcde"},
		"a title":                        {"a\x1b]0;pwned\ab\x1b]2;x\x1b\\c", "abc"},
		"a clipboard":                    {"a\x1b]52;c;cm0=\x1b\\b", "ab"},
		"a device string":                {"a\x1bP+q544e\x1b\\b", "ab"},
		"a title without an end":         {"a\x1b]0;x\nb", "a\nb"},
		"the other character set":        {"a\x1b(0b\x1b(B\x1b[mc\x1bcd", "ab\x1b[mcd\x1b[0m"},
		"C1 in UTF-8":                    {"a\u009b2Jb\u009d0;x\u009cc", "a2Jb0;xc"},
		"C1 as a byte":                   {"a\x9b2Jb", "a\ufffd2Jb"},
		"bells, backspaces, NUL":         {"a\a\b\x00\x7fb", "ab"},
		"text that is turned around":     {"a\u202eb\u2066c", "abc"},
		"a sequence that breaks off":     {"a\x1b[31\nb\x1b[3é", "a\nbé"},
		"an endless sequence":            {"a\x1b[" + string(bytes.Repeat([]byte("1;"), 1000)) + "mb", "a" + string(bytes.Repeat([]byte("1;"), 1000))[63:] + "mb"},
		"no number as a colour":          {"\x1b[999ma\x1b[3:1mb\x1b[38mc", "abc"},
		"latin-1 does not hide what was": {"caf\xe9 au lait", "caf\ufffd au lait"},
	} {
		for _, step := range []int{1, 2, 3, 7, 10000} { // wherever it is cut
			var out bytes.Buffer
			w := &safeWriter{to: &out}
			for rest := []byte(test.log); len(rest) > 0; rest = rest[min(step, len(rest)):] {
				if n, err := w.Write(rest[:min(step, len(rest))]); err != nil || n != min(step, len(rest)) {
					t.Fatal(n, err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want {
				t.Errorf("%s in steps of %d: %q, wanted %q", name, step, out.String(), test.want)
			}
		}
	}
}
