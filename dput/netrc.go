package dput

import (
	"strings"

	"debusine"
)

// account is who logs in by ftp.
type account struct {
	user, password string
	secret         bool
}

// account finds the password of a target's user: netrc(5).
func (s *Sender) account(t Target) (account, error) {
	if t.User == "" || t.User == "anonymous" {
		return account{user: "anonymous", password: "debusine@"}, nil
	}
	if s.Netrc == "" {
		return account{}, debusine.Forbidden{What: "there is no file of passwords for ftp", Hint: "debusine server --upload-netrc FILE"}
	}
	raw, err := readPrivate(s.Netrc)
	if err != nil {
		return account{}, err
	}
	if password, found := netrc(string(raw), t.Host, t.User); found {
		return account{t.User, password, true}, nil
	}
	return account{}, debusine.Forbidden{What: "the file of passwords for ftp has none for " + t.User + " at " + t.Host, Hint: "add: machine " + t.Host + " login " + t.User + " password …"}
}

// netrc looks up a password. Only the machine's own entries count, no default: a
// password goes where it was meant to.
func netrc(text, host, user string) (password string, found bool) {
	var machine, login string
	words := strings.Fields(withoutComments(text))
	for i := 0; i+1 < len(words); i++ {
		switch words[i] {
		case "machine":
			machine, login = words[i+1], ""
		case "login":
			login = words[i+1]
		case "password":
			if machine == host && login == user {
				return words[i+1], true
			}
		case "default":
			machine, login = "", ""
			continue
		default:
			continue
		}
		i++
	}
	return "", false
}

func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}
