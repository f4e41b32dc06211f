package dput_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"debusine"
	"debusine/dput"
	"debusine/dput/dputtest"
)

func TestTargetsAreReadAndWritten(t *testing.T) {
	three := 3
	for name, c := range map[string]struct {
		text  string
		want  dput.Target
		again string
		delay *int
	}{
		"Debian's own queue":     {"ftp://ftp.upload.debian.org/pub/UploadQueue/", dput.Target{Scheme: "ftp", Host: "ftp.upload.debian.org", Path: "/pub/UploadQueue"}, "ftp://ftp.upload.debian.org/pub/UploadQueue", nil},
		"a user and a port":      {"sftp://me@host.example:2222/srv/queue", dput.Target{Scheme: "sftp", User: "me", Host: "host.example", Port: 2222, Path: "/srv/queue"}, "sftp://me@host.example:2222/srv/queue", nil},
		"a folder in the home":   {"sftp://host/~/queue", dput.Target{Scheme: "sftp", Host: "host", Path: "~/queue"}, "sftp://host/~/queue", nil},
		"an address of six":      {"ftp://[::1]/q", dput.Target{Scheme: "ftp", Host: "::1", Path: "/q"}, "ftp://[::1]/q", nil},
		"the root":               {"ftp://host/", dput.Target{Scheme: "ftp", Host: "host", Path: "/"}, "ftp://host/", nil},
		"with a delay of 3 days": {"ftp://host/q", dput.Target{Scheme: "ftp", Host: "host", Path: "/q"}, "ftp://host/q/DELAYED/3-day", &three},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := dput.ParseTarget(c.text)
			if err != nil || got != c.want {
				t.Fatalf("%+v, %v", got, err)
			}
			if again := got.Delayed(c.delay).String(); again != c.again {
				t.Errorf("written as %s", again)
			}
		})
	}
}

func TestWhatIsNoTargetIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                         "",
		"another scheme":                  "https://host/q",
		"a file":                          "file:///etc/passwd",
		"a password":                      "ftp://me:secret@host/q",
		"a password in what is no URL":    "ftp://me:secret@host:port/q",
		"no host":                         "ftp:///q",
		"no path":                         "ftp://host",
		"a path that goes up":             "ftp://host/q/../../etc",
		"a path that goes up from home":   "sftp://host/~/..",
		"another's home":                  "sftp://host/~root/q",
		"an encoded line end":             "ftp://host/q%0d%0aDELE%20x",
		"a line end":                      "ftp://host/q\r\nDELE x",
		"a query":                         "ftp://host/q?x",
		"a port that is none":             "ftp://host:99999/q",
		"a host like an option of ssh":    "sftp://-oProxyCommand=x/q",
		"a user with a space":             "sftp://a%20b@host/q",
		"a path of terminal instructions": "ftp://host/%1b[2J",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := dput.ParseTarget(text)
			if !errors.As(err, new(debusine.Invalid)) {
				t.Fatalf("%+v, %v", got, err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the password is shown: %v", err)
			}
		})
	}
}

func TestPasswordsAreFoundByHostAndUser(t *testing.T) {
	p := dputtest.VSFTPD(t) // asks for no password: what is tried is which is found
	for name, c := range map[string]struct {
		netrc string
		found bool
	}{
		"its own entry":            {"machine 127.0.0.1 login ftp password x\n", true},
		"another machine":          {"machine localhost login ftp password x\n", false},
		"another user":             {"machine 127.0.0.1 login root password x\n", false},
		"the default for everyone": {"machine localhost login ftp password y default login ftp password x\n", false},
		"a comment":                {"# machine 127.0.0.1 login ftp password x\n", false},
		"an account beside":        {"machine 127.0.0.1 account z login ftp password x\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			p.Target.User = "ftp"
			p.Netrc = dputtest.Write(t, t.TempDir()+"/netrc", c.netrc)
			_, err := p.Send(t.Context(), goods(p, 3))
			// A password that is found is not sent, since this server has no TLS.
			if found := err != nil && strings.Contains(err.Error(), "not sent in clear"); found != c.found {
				t.Errorf("%v", err)
			}
		})
	}
	p.Netrc = dputtest.Write(t, t.TempDir()+"/netrc", "machine 127.0.0.1 login ftp password x\n")
	if err := os.Chmod(p.Netrc, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Send(t.Context(), goods(p, 3)); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("%v", err)
	}
}
