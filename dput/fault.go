package dput

import (
	"errors"
	"fmt"
	"io/fs"
	"net/textproto"
	"strings"
	"unicode"

	"github.com/jlaffaye/ftp"
	"github.com/pkg/sftp"

	"debusine"
)

// lasting says whether an error is one that another attempt meets again.
func lasting(err error) bool {
	return errors.As(err, new(debusine.Forbidden)) || errors.As(err, new(debusine.Invalid)) ||
		errors.As(err, new(debusine.Conflict)) || errors.As(err, new(debusine.Missing))
}

// said makes a fault of a server's plain refusal; what may pass stays an error.
// The server's own words are shown without what would move a terminal.
func said(doing string, err error) error {
	if err == nil || lasting(err) {
		return err
	}
	words := fmt.Sprintf("%s: the server says: %s", doing, plain(err.Error()))
	var (
		status *sftp.StatusError
		code   *textproto.Error
	)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return debusine.Forbidden{What: words, Hint: "see what the account may do in that folder"}
	case errors.Is(err, fs.ErrNotExist):
		return debusine.Forbidden{What: words, Hint: "see that the folder exists there"}
	case errors.As(err, &code) && code.Code >= 500:
		return debusine.Forbidden{What: words, Hint: ftpHint(code.Code)}
	case errors.As(err, &status), errors.As(err, &code):
		return errors.New(words)
	}
	return fmt.Errorf("%s: %s", doing, plain(err.Error()))
}

func ftpHint(code int) string {
	switch code {
	case ftp.StatusNotLoggedIn:
		return "see the user in the target, and its password in the server's netrc file"
	case ftp.StatusBadFileName:
		return "a file of that name may lie there already, and may not be replaced; dcut(1) asks an archive to remove it"
	}
	return "see what the account may do in that folder"
}

// plain is a server's text on one line, clipped.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return strings.TrimSpace(text)
}
