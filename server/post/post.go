// Package post sends the mails that stand in the store's outbox, one after
// another, through an SMTP server.
//
// A mail was committed with the event that it tells of. Taking it moves its due
// time by a lease, sending comes next, and marking it is last: who dies between
// two of these sends it again, under the same Message-ID. What the server
// refuses for good (5xx) is noted and not tried again, for those recipients alone;
// all else is tried again later and later, for five days (store.Tidy).
package post

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"regexp"
	"strings"
	"time"

	"debusine"
	"debusine/store"
)

// The ways to protect the connection.
const (
	Plain    = "off"
	StartTLS = "starttls"
	TLS      = "tls" // from the first byte
)

// Times of one mail, and between mails.
const (
	lease   = 3 * time.Minute  // longer than sending one may take
	oneMail = 90 * time.Second // until the server has it, or does not
	dialing = 20 * time.Second
	idle    = 2 * time.Second // between two looks into an empty outbox
)

// Outbox is what the sender needs of the store.
type Outbox interface {
	NextMail(ctx context.Context, lease time.Duration) (store.Mail, error)
	MarkPosted(ctx context.Context, id int64, p store.Posted) error
}

// Options say where mails go.
type Options struct {
	Server         string      // HOST:PORT
	Protection     string      // Plain, StartTLS or TLS; empty: Plain for this machine, else StartTLS
	TLS            *tls.Config // nil: the system's authorities
	User, Password string      // empty: none

	// After says how long to wait after so many tries; nil: from half a minute to
	// four hours, doubling.
	After func(tries int) time.Duration
	// Away is how long a server is left alone that cannot be reached at all; 0: ten
	// seconds.
	Away time.Duration
}

// Sender sends mails. Make it with New.
type Sender struct {
	outbox  Outbox
	options Options
	host    string // of the server
	log     *slog.Logger
}

// New makes a sender; it speaks to nobody yet.
func New(outbox Outbox, o Options, log *slog.Logger) (*Sender, error) {
	host, _, err := net.SplitHostPort(o.Server)
	if err != nil || host == "" {
		return nil, debusine.Invalid{What: fmt.Sprintf("%.80q is no mail server", o.Server), Hint: "it is named HOST:PORT, for example localhost:25"}
	}
	if o.Protection == "" {
		o.Protection = StartTLS
		if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
			o.Protection = Plain
		}
	}
	if o.Protection != Plain && o.Protection != StartTLS && o.Protection != TLS {
		return nil, debusine.Invalidf("the protection of mail is %s, %s or %s, not %.80q", Plain, StartTLS, TLS, o.Protection)
	}
	if o.After == nil {
		o.After = backOff
	}
	if o.Away == 0 {
		o.Away = 10 * time.Second
	}
	return &Sender{outbox, o, host, log}, nil
}

// Credentials reads a file that holds USER:PASSWORD.
func Credentials(file string) (user, password string, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", "", fmt.Errorf("reading the credentials for mail: %w", err)
	}
	user, password, found := strings.Cut(strings.TrimRight(string(raw), "\r\n"), ":")
	if !found || user == "" || password == "" {
		return "", "", debusine.Invalidf("%s does not hold USER:PASSWORD", file)
	}
	return user, password, nil
}

func backOff(tries int) time.Duration {
	return min(30*time.Second<<min(max(tries-1, 0), 20), 4*time.Hour)
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		pause, err := s.one(ctx)
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			s.log.Warn("mail: sending failed; trying again", "server", s.options.Server, "error", err)
		case err == nil && failing:
			s.log.Info("mail: sending works again", "server", s.options.Server)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// one sends the mail that is due, and says how long to wait before the next. Its
// error is one that the next mail would have too.
func (s *Sender) one(ctx context.Context) (pause time.Duration, err error) {
	m, err := s.outbox.NextMail(ctx, lease)
	var missing debusine.Missing
	switch {
	case errors.As(err, &missing):
		return idle, nil
	case err != nil:
		return idle, err
	}
	p, trouble := s.send(ctx, m)
	switch {
	case len(p.Later) > 0 && ctx.Err() != nil:
		p.After = 0 // we stop: the next one may send it at once
	case len(p.Later) > 0:
		p.After = s.options.After(m.Tries)
	}
	level := slog.LevelInfo
	if p.Refused {
		level = slog.LevelWarn
	}
	s.log.Log(ctx, level, "mail", "id", m.WorkRequest, "channel", m.Channel, "try", m.Tries, "later", len(p.Later), "refused", p.Refused, "problem", p.Problem)
	marking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.outbox.MarkPosted(marking, m.ID, p); err != nil {
		return idle, err
	}
	if trouble != nil {
		return s.options.Away, trouble
	}
	return 0, nil
}

// send gives a mail to the server, and says what is left to do. trouble is what
// is not about this mail.
func (s *Sender) send(ctx context.Context, m store.Mail) (p store.Posted, trouble error) {
	ctx, cancel := context.WithTimeout(ctx, oneMail)
	defer cancel()
	later := func(err error) store.Posted { return store.Posted{Later: m.Recipients, Problem: oneLine(err)} }
	conn, err := (&net.Dialer{Timeout: dialing}).DialContext(ctx, "tcp", s.options.Server)
	if err != nil {
		return later(err), err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, err := s.speak(conn)
	if err != nil {
		return later(err), err
	}
	if err := c.Mail(m.Sender); err != nil {
		if refused(err) {
			return store.Posted{Refused: true, Problem: oneLine(err)}, nil
		}
		return later(err), lasting(err)
	}
	taken := 0
	for _, to := range m.Recipients {
		switch err := c.Rcpt(to); {
		case err == nil:
			taken++
		case refused(err):
			p.Refused, p.Problem = true, to+": "+oneLine(err)
		case lasting(err) != nil:
			return later(err), err
		default:
			p.Later, p.Problem = append(p.Later, to), to+": "+oneLine(err)
		}
	}
	if taken == 0 {
		return p, nil
	}
	if err := data(c, m); err != nil {
		if refused(err) {
			return store.Posted{Later: p.Later, Refused: true, Problem: oneLine(err)}, nil
		}
		return later(err), lasting(err)
	}
	_ = c.Quit() // it has the mail: what it says now changes nothing
	return p, nil
}

func data(c *smtp.Client, m store.Mail) error {
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(render(m)); err != nil {
		return err
	}
	return w.Close()
}

// speak begins a session on a connection, protected as it must be.
func (s *Sender) speak(conn net.Conn) (*smtp.Client, error) {
	config := s.options.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.ServerName = s.host
	if s.options.Protection == TLS {
		conn = tls.Client(conn, config)
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return nil, err
	}
	return c, s.introduce(c, config)
}

func (s *Sender) introduce(c *smtp.Client, config *tls.Config) error {
	if err := c.Hello(HelloName()); err != nil {
		return err
	}
	if s.options.Protection == StartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return fmt.Errorf("the mail server %s offers no STARTTLS", s.options.Server)
		}
		if err := c.StartTLS(config); err != nil {
			return err
		}
	}
	if s.options.User == "" {
		return nil
	}
	return c.Auth(smtp.PlainAuth("", s.options.User, s.options.Password, s.host))
}

// refused says that the server will never take it: but for what the operator can
// mend, such as credentials (53x).
func refused(err error) bool {
	var said *textproto.Error
	return errors.As(err, &said) && said.Code >= 500 && said.Code/10 != 53
}

// lasting is the error when it is no answer of the server to this mail.
func lasting(err error) error {
	var said *textproto.Error
	if errors.As(err, &said) && said.Code != 421 && said.Code/10 != 53 {
		return nil
	}
	return err
}

var noHost = regexp.MustCompile(`[^A-Za-z0-9.-]`)

// HelloName is this machine's name, in the letters that a host's name has.
func HelloName() string {
	name, err := os.Hostname()
	if name = noHost.ReplaceAllString(name, ""); err != nil || name == "" {
		return "localhost"
	}
	return name
}

func oneLine(err error) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(fmt.Sprintf("%.500s", err.Error()), "?"))
}
