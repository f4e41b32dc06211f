package debusine

import (
	"fmt"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// NotificationChannel is a way out for notifications, made by an administrator
// (spec §1.11). Work requests of other scopes or workspaces than the channel's
// do not find it.
type NotificationChannel struct {
	Name      string
	Method    string // email
	Message          // what is not said otherwise
	Scope     string // that may use it; empty: all
	Workspace string // of the scope, that alone may use it; empty: all
	Fixed     bool   // who uses it says the subject alone, not who gets it
	Waiting   int    // mails that were not sent yet
	Failed    int    // of the last days, that were given up
}

// Message is what a channel, or who uses it, says of a mail. Addresses may have
// a name: Build Team <builds@example.org>.
type Message struct {
	From    string   `json:"from,omitempty"`
	To      []string `json:"to,omitempty"`
	CC      []string `json:"cc,omitempty"`
	Subject string   `json:"subject,omitempty"`
}

// What a mail may have at most.
const (
	mostRecipients = 20
	longestSubject = 200 // bytes
	longestAddress = 320 // bytes, with the name
)

// Check refuses what is no address, and whatever could end a header's line.
func (m Message) Check() error {
	if n := len(m.To) + len(m.CC); n > mostRecipients {
		return Invalidf("a mail has %d recipients, %d are allowed", n, mostRecipients)
	}
	addresses := append(append([]string{}, m.To...), m.CC...)
	if m.From != "" {
		addresses = append(addresses, m.From)
	}
	for _, a := range addresses {
		if _, err := MailAddress(a); err != nil {
			return err
		}
	}
	if len(m.Subject) > longestSubject || strings.ContainsFunc(m.Subject, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Invalidf("the subject must be one line of at most %d bytes", longestSubject)
	}
	return nil
}

// plainAddress is what every mail server takes, and no command or header can
// hide in.
var plainAddress = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,200}[A-Za-z0-9])?$`)

// MailAddress reads an address with or without a name.
func MailAddress(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || len(text) > longestAddress || !plainAddress.MatchString(a.Address) || strings.ContainsFunc(a.Name, unicode.IsControl) {
		return nil, WithHint(Invalidf("%.80q is no mail address", text), "write name@example.org or Some Name <name@example.org>")
	}
	return a, nil
}

// Over puts what m says over what base says.
func (m Message) Over(base Message) Message {
	if m.From != "" {
		base.From = m.From
	}
	if m.To != nil {
		base.To = m.To
	}
	if m.CC != nil {
		base.CC = m.CC
	}
	if m.Subject != "" {
		base.Subject = m.Subject
	}
	return base
}

var subjectWord = regexp.MustCompile(`\$(?:\$|work_request_id\b|work_request_result\b|\{work_request_id\}|\{work_request_result\})`)

// Title is the subject with id and result put in for $work_request_id and
// $work_request_result, or ${…}; without a subject it is one that tells both.
func (m Message) Title(id int64, result string) string {
	if m.Subject == "" {
		return fmt.Sprintf("Work request %d ended: %s", id, result)
	}
	return subjectWord.ReplaceAllStringFunc(m.Subject, func(word string) string {
		switch strings.Trim(word, "${}") {
		case "":
			return "$"
		case "work_request_id":
			return strconv.FormatInt(id, 10)
		}
		return result
	})
}
