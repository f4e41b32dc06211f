package post

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"debusine"
	"debusine/store"
)

// render writes a mail as it goes over the wire, the same each time it is sent.
// What comes from people is encoded: nothing of it can end a line.
func render(m store.Mail) []byte {
	var b bytes.Buffer
	head := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	head("From", addresses([]string{m.Message.From}))
	head("To", addresses(m.Message.To))
	head("Cc", addresses(m.Message.CC))
	head("Subject", mime.QEncoding.Encode("utf-8", strings.Map(printable, m.Message.Subject)))
	head("Date", m.CreatedAt.UTC().Format(time.RFC1123Z))
	head("Message-ID", "<"+m.MessageID+">")
	head("Auto-Submitted", "auto-generated")
	head("X-Debusine-Work-Request", fmt.Sprint(m.WorkRequest))
	head("MIME-Version", "1.0")
	head("Content-Type", `text/plain; charset="utf-8"`)
	head("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	// A buffer takes everything.
	_, _ = w.Write([]byte(strings.ReplaceAll(m.Body, "\n", "\r\n")))
	_ = w.Close()
	return b.Bytes()
}

// addresses are checked when they are given (debusine.Message.Check); what is
// none is left out.
func addresses(texts []string) string {
	var all []string
	for _, text := range texts {
		if a, err := debusine.MailAddress(text); err == nil {
			all = append(all, a.String())
		}
	}
	return strings.Join(all, ",\r\n ")
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
