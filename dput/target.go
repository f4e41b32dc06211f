package dput

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"

	"debusine"
)

// Target is a folder on a server that takes uploads.
type Target struct {
	Scheme string // ftp or sftp
	User   string // "" is anonymous for ftp, and who runs the server for sftp
	Host   string
	Port   int    // 0 is the scheme's own
	Path   string // absolute and clean, or below the user's home: ~/queue
}

// ParseTarget reads ftp://[user@]host[:port]/path or sftp://…; /~/path is below
// the user's home. A password has no place in it: task data are shown to people.
func ParseTarget(text string) (Target, error) {
	wrong := func(why string) (Target, error) {
		return Target{}, debusine.Invalid{What: fmt.Sprintf("target %.200q %s", redacted(text), why),
			Hint: "write ftp://HOST/PATH or sftp://USER@HOST/PATH", Per: map[string]string{"target": why}}
	}
	if len(text) > 500 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return wrong("must be at most 500 printable characters of ASCII")
	}
	u, err := url.Parse(text)
	if err != nil {
		return wrong("is not a URL")
	}
	_, secret := u.User.Password()
	t := Target{Scheme: u.Scheme, User: u.User.Username(), Host: u.Hostname(), Path: u.Path}
	switch {
	case t.Scheme != "ftp" && t.Scheme != "sftp":
		return wrong("must begin with ftp:// or sftp://")
	case secret:
		return wrong("must not hold a password; the server's administrator has a file for those")
	case t.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return wrong("must have a host and a path, and nothing after the path")
	case strings.HasPrefix(t.User, "-") || strings.HasPrefix(t.Host, "-") || !plainWord(t.User, "._-+") || !plainWord(t.Host, ".-:"):
		return wrong("has a user or host of characters that none has")
	case t.Path == "" || !plainWord(t.Path, "._-+~/,:@=%"):
		return wrong("has no path, or one of unusual characters")
	}
	if port := u.Port(); port != "" {
		if t.Port, err = strconv.Atoi(port); err != nil || t.Port < 1 || t.Port > 65535 {
			return wrong("has no valid port")
		}
	}
	home := strings.HasPrefix(t.Path+"/", "/~/")
	t.Path = path.Clean(t.Path)
	if home {
		t.Path = strings.TrimPrefix(t.Path, "/")
	}
	if strings.Contains(u.Path, "/../") || strings.HasSuffix(u.Path, "/..") || !home && strings.HasPrefix(u.Path, "/~") || home && !strings.HasPrefix(t.Path, "~") {
		return wrong("has a path that goes up")
	}
	return t, nil
}

// redacted takes a password out of what is shown.
func redacted(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	if at := strings.LastIndex(text, "@"); at > 0 {
		return "…" + text[at:]
	}
	return text
}

func plainWord(s, others string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
	})
}

// Delayed is the folder in it of uploads that wait for so many days: DELAYED/3-day.
// Without days, it is the target itself.
func (t Target) Delayed(days *int) Target {
	if days != nil {
		t.Path = path.Join(t.Path, "DELAYED", strconv.Itoa(*days)+"-day")
	}
	return t
}

// String is the URL.
func (t Target) String() string {
	u := url.URL{Scheme: t.Scheme, Host: t.Host, Path: "/" + strings.TrimPrefix(t.Path, "/")}
	if strings.Contains(t.Host, ":") {
		u.Host = "[" + t.Host + "]"
	}
	if t.Port != 0 {
		u.Host = net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	}
	if t.User != "" {
		u.User = url.User(t.User)
	}
	return u.String()
}

// address is what is dialled.
func (t Target) address() string {
	port := t.Port
	if port == 0 {
		port = map[string]int{"ftp": 21, "sftp": 22}[t.Scheme]
	}
	return net.JoinHostPort(t.Host, strconv.Itoa(port))
}

// folder is the path as the server is told it.
func (t Target) folder() string {
	if rest, home := strings.CutPrefix(t.Path, "~"); home {
		return path.Join(".", rest)
	}
	return t.Path
}
