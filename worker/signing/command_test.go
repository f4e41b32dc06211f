package signing

import (
	"slices"
	"strings"
	"testing"
)

func TestTrustedCertificatesAreReadAsPeopleWriteThem(t *testing.T) {
	a, b := strings.Repeat("ab", 32), strings.Repeat("01", 32)
	colons := strings.TrimSuffix(strings.Repeat("AB:", 32), ":")
	for text, want := range map[string][]string{
		"":                       nil,
		a:                        {a},
		colons:                   {a},
		a + ", " + b:             {a, b},
		a + "\n" + b + "":        {a, b},
		"abcd":                   {"!is no SHA-256"},
		a + ",x":                 {"!hint: openssl"},
		strings.Repeat("zz", 32): {"!is no SHA-256"},
	} {
		got, err := trustedCerts(text)
		if err != nil {
			if len(want) != 1 || !strings.Contains(err.Error(), strings.TrimPrefix(want[0], "!")) {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

func TestTokensTravelOverTLSAlone(t *testing.T) {
	for url, good := range map[string]bool{
		"https://debusine.example.org/api": true,
		"http://127.0.0.1:8011/api":        true,
		"http://[::1]:8011/api":            true,
		"http://localhost/api":             true,
		"http://debusine.example.org/api":  false,
		"http://127.0.0.1.example.org/api": false,
		"debusine":                         false,
		"":                                 false,
	} {
		if err := checkURL(url); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
	}
}
