package server

import (
	"testing"

	"debusine/server/post"
)

func TestWhatTheServerIsKnownAs(t *testing.T) {
	for _, test := range []struct{ said, public, want string }{
		{"debusine.example.org", "https://other.example.org", "debusine.example.org"},
		{"", "https://debusine.example.org:8443/", "debusine.example.org"},
		{"", "http://127.0.0.1:8011", post.HelloName()},
		{"", "http://[::1]:8011", post.HelloName()},
		{"", "", post.HelloName()},
		{"", "://", post.HelloName()},
	} {
		if got := knownAs(test.said, test.public); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
	for _, bad := range []string{"a b", "-a", "a>", "a\nb", "a."} {
		if hostName.MatchString(bad) {
			t.Errorf("%q is taken for a host's name", bad)
		}
	}
}
