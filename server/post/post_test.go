package post_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"debusine"
	"debusine/server/post"
	"debusine/store"
	"debusine/store/storetest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv("POST_TEST_DSN"); dsn != "" {
		sendUntilKilled(dsn)
	}
	storetest.Main(m)
}

// smtpd runs Debian's aiosmtpd with the misbehaviour of testdata/smtpd.py.
type smtpd struct {
	*testing.T
	folder, address string
}

func startSMTP(t *testing.T, args ...string) *smtpd {
	t.Helper()
	s := &smtpd{T: t, folder: t.TempDir()}
	cmd := exec.Command("/usr/bin/python3", append([]string{"testdata/smtpd.py", s.folder}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting aiosmtpd: %v (hint: make test-deps)", err)
	}
	t.Cleanup(func() { _, _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL), cmd.Wait() })
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("aiosmtpd said no port: %v (hint: make test-deps)", err)
	}
	s.address = "127.0.0.1:" + strings.TrimSpace(port)
	return s
}

// got are the messages that the server took, in that order.
func (s *smtpd) got() (all []*mail.Message) {
	s.Helper()
	names, _ := filepath.Glob(filepath.Join(s.folder, "*.eml"))
	slices.Sort(names)
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			s.Fatal(err)
		}
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			s.Fatalf("%v: %s", err, raw)
		}
		all = append(all, m)
	}
	return all
}

// outbox is a database with a work request for mails to be about.
type outbox struct {
	*testing.T
	*store.DB
	id  int64
	dsn string
}

func newOutbox(t *testing.T) *outbox {
	t.Helper()
	o := &outbox{T: t, dsn: storetest.DSN(t)}
	var err error
	if o.DB, err = store.Open(t.Context(), o.dsn, "test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	var user int64
	o.one(`INSERT INTO users (username) VALUES ('alice') RETURNING id`, &user)
	if o.id, err = o.Create(t.Context(), store.New{WorkspaceID: 1, CreatedBy: user, TaskType: debusine.WorkerTask, TaskName: "noop"}); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *outbox) one(sql string, into any, args ...any) {
	o.Helper()
	if err := o.Pool().QueryRow(context.Background(), sql, args...).Scan(into); err != nil {
		o.Fatalf("%s: %v", sql, err)
	}
}

// put makes a mail to the recipients and gives its number.
func (o *outbox) put(subject string, to ...string) (id int64) {
	o.Helper()
	o.one(`INSERT INTO mails (channel, workspace_id, work_request_id, message_id, sender, recipients, headers, body)
		VALUES ('team', 1, $1, 'debusine.test.' || gen_random_uuid() || '@example.org', 'builds@example.org', $2::text[],
		        jsonb_build_object('from', 'Bäume <builds@example.org>', 'to', $2::text[], 'subject', $3::text), E'line\n.\nWörter\n') RETURNING id`, &id, o.id, to, subject)
	return id
}

// state is how a mail stands: waiting or ended, failed or not, for whom, why.
func (o *outbox) state(id int64) (state string) {
	o.Helper()
	o.one(`SELECT concat_ws(' ', CASE WHEN ended_at IS NULL THEN 'waits for ' || array_to_string(recipients, ',') ELSE 'ended' END, CASE WHEN failed THEN 'failed' END, problem)
		FROM mails WHERE id = $1`, &state, id)
	return state
}

func (o *outbox) until(id int64, want string) {
	o.Helper()
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		if strings.Contains(o.state(id), want) {
			return
		}
	}
	o.Fatalf("mail %d is %q, wanted %q", id, o.state(id), want)
}

// send runs a sender until the test ends.
func (o *outbox) send(options post.Options) {
	o.Helper()
	s, err := post.New(o.DB, options, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		o.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	o.Cleanup(func() { stop(); <-done })
}

func soon(int) time.Duration { return 50 * time.Millisecond }

func TestMailsArriveAsTheyWereMeant(t *testing.T) {
	t.Parallel()
	server, o := startSMTP(t), newOutbox(t)
	id := o.put("Bau: "+strings.Repeat("größer ", 20), "a@example.org", "b@example.org")
	o.send(post.Options{Server: server.address, After: soon, Away: time.Millisecond})
	o.until(id, "ended")
	got := server.got()
	if len(got) != 1 {
		t.Fatalf("%d mails", len(got))
	}
	h := got[0].Header
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if err != nil || subject != "Bau: "+strings.Repeat("größer ", 20) {
		t.Errorf("subject %q, %v", subject, err)
	}
	from, err := h.AddressList("From")
	if err != nil || from[0].Name != "Bäume" || from[0].Address != "builds@example.org" {
		t.Errorf("from %v, %v", from, err)
	}
	to, err := h.AddressList("To")
	if err != nil || len(to) != 2 || h.Get("X-Rcpt-To") != "a@example.org,b@example.org" || h.Get("X-Mail-From") != "builds@example.org" {
		t.Errorf("to %v, %v; envelope %q to %q", to, err, h.Get("X-Mail-From"), h.Get("X-Rcpt-To"))
	}
	if h.Get("Auto-Submitted") != "auto-generated" || !strings.HasPrefix(h.Get("Message-ID"), "<debusine.test.") {
		t.Errorf("%+v", h)
	}
	if date, err := h.Date(); err != nil || time.Since(date) > time.Hour {
		t.Errorf("date %s, %v", date, err)
	}
	body, err := io.ReadAll(got[0].Body)
	if err != nil || !strings.Contains(string(body), "line\r\n.\r\nW=C3=B6rter") {
		t.Errorf("body %q, %v", body, err)
	}
}

func TestWhatIsPutOffComesLaterAndWhatIsRefusedNever(t *testing.T) {
	t.Parallel()
	server, o := startSMTP(t), newOutbox(t)
	mixed := o.put("mixed", "a@example.org", "later@example.org", "never@example.org")
	never := o.put("never", "never@example.org")
	spam := o.put("spam", "spam@example.org")
	cut := o.put("cut", "cut@example.org")
	last := o.put("last", "a@example.org")
	o.send(post.Options{Server: server.address, After: soon, Away: time.Millisecond})
	for id, want := range map[int64]string{mixed: "ended failed", never: "ended failed never@example.org: 550 \"5.1.1 no such user\"", spam: "ended failed 554 \"5.7.1 this is spam\"", cut: "ended", last: "ended"} {
		o.until(id, want)
	}
	var got []string
	for _, m := range server.got() {
		got = append(got, m.Header.Get("Subject")+" to "+m.Header.Get("X-Rcpt-To"))
	}
	slices.Sort(got)
	if want := []string{"cut to cut@example.org", "last to a@example.org", "mixed to a@example.org", "mixed to later@example.org"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestAServerThatIsAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	id := o.put("x", "a@example.org")
	o.send(post.Options{Server: "127.0.0.1:1", After: func(int) time.Duration { return time.Hour }})
	o.until(id, "connection refused")
	if state := o.state(id); !strings.HasPrefix(state, "waits for a@example.org") {
		t.Errorf("%q", state)
	}
	var tries int
	o.one(`SELECT tries FROM mails WHERE due > now() + interval '50 minutes'`, &tries)
	if tries != 1 {
		t.Errorf("%d tries", tries)
	}
	server := startSMTP(t)
	o.one(`UPDATE mails SET due = now() RETURNING id`, &id)
	o.send(post.Options{Server: server.address, After: soon, Away: time.Millisecond})
	o.until(id, "ended")
}

func TestMailGoesOverTLSWithCredentialsOrNotAtAll(t *testing.T) {
	t.Parallel()
	cert, key, authorities := newCertificate(t)
	server, o := startSMTP(t, cert, key), newOutbox(t)
	file := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(file, []byte("debusine:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	user, password, err := post.Credentials(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options post.Options
		want    string
	}{
		"without TLS":                {post.Options{Protection: post.Plain}, "530"},
		"with an unknown authority":  {post.Options{Protection: post.StartTLS, User: user, Password: password}, "certificate"},
		"with a password that fails": {post.Options{Protection: post.StartTLS, TLS: &tls.Config{RootCAs: authorities}, User: user, Password: "x"}, "535"},
		"as it should be":            {post.Options{Protection: post.StartTLS, TLS: &tls.Config{RootCAs: authorities}, User: user, Password: password}, "ended"},
	} {
		t.Run(name, func(t *testing.T) {
			one := &outbox{T: t, DB: o.DB, id: o.id}
			id := one.put(name, "a@example.org")
			c.options.Server, c.options.Away, c.options.After = server.address, time.Millisecond, func(int) time.Duration { return time.Hour }
			one.send(c.options)
			one.until(id, c.want)
			if state := one.state(id); strings.HasPrefix(state, "ended failed") || strings.Contains(state, "secret") {
				t.Errorf("%q", state)
			}
		})
	}
	got := server.got()
	if len(got) != 1 || got[0].Header.Get("X-Tls") != "True" || got[0].Header.Get("X-User") != "debusine" {
		t.Errorf("%+v", got)
	}
}

// A server that promises STARTTLS to nobody gets no mail that must be protected.
func TestNoMailGoesInTheClearThatMustNot(t *testing.T) {
	t.Parallel()
	server, o := startSMTP(t), newOutbox(t)
	id := o.put("x", "a@example.org")
	o.send(post.Options{Server: server.address, Protection: post.StartTLS, After: soon, Away: time.Millisecond})
	o.until(id, "offers no STARTTLS")
	if got := server.got(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// sendUntilKilled is the other process of the next test.
func sendUntilKilled(dsn string) {
	db, err := store.Open(context.Background(), dsn, "test")
	if err != nil {
		panic(err)
	}
	s, err := post.New(db, post.Options{Server: os.Getenv("POST_TEST_SERVER")}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		panic(err)
	}
	s.Run(context.Background())
}

// The process is killed once the mail is with the server and before it is told so.
func TestAKilledSenderLosesNoMailAndSendsTheSameOneAgain(t *testing.T) {
	t.Parallel()
	server, o := startSMTP(t), newOutbox(t)
	id := o.put("twice", "slow@example.org")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "POST_TEST_DSN="+o.dsn, "POST_TEST_SERVER="+server.address)
	child.Stderr, child.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); len(server.got()) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the mail did not arrive")
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) {
		t.Errorf("the sender ended with %v", err)
	}
	if err := os.WriteFile(filepath.Join(server.folder, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if state := o.state(id); state != "waits for slow@example.org " {
		t.Fatalf("%q", state)
	}
	o.send(post.Options{Server: server.address, After: soon, Away: time.Millisecond})
	time.Sleep(300 * time.Millisecond)
	if got := server.got(); len(got) != 1 {
		t.Errorf("within the lease of the dead one %d mails went out", len(got))
	}
	o.one(`UPDATE mails SET due = now() RETURNING id`, &id) // the lease is over
	o.until(id, "ended")
	got := server.got()
	if len(got) != 2 || got[0].Header.Get("Message-ID") != got[1].Header.Get("Message-ID") || got[0].Header.Get("Date") != got[1].Header.Get("Date") {
		t.Errorf("%+v", got)
	}
}

// A server that takes the connection and says nothing holds up neither the stop
// nor, after it, the mail.
func TestAStopWaitsForNoServer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	o := newOutbox(t)
	id := o.put("x", "a@example.org")
	s, err := post.New(o.DB, post.Options{Server: silent.Addr().String()}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	if conn, err := silent.Accept(); err == nil {
		defer conn.Close()
	}
	stop()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the sender did not stop")
	}
	var due bool
	o.one(`SELECT due <= now() FROM mails WHERE id = $1`, &due, id)
	if !due {
		t.Error("the mail waits for the lease of one that stopped in order")
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, o := range map[string]post.Options{"no port": {Server: "mail.example.org"}, "no host": {Server: ":25"}, "no such protection": {Server: "localhost:25", Protection: "ssl"}} {
		if _, err := post.New(nil, o, slog.Default()); !errors.As(err, new(debusine.Invalid)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(bad, []byte("nocolon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{bad, bad + ".missing"} {
		if _, _, err := post.Credentials(file); err == nil || strings.Contains(err.Error(), "nocolon") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
