package dput_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"debusine"
	"debusine/dput"
	"debusine/dput/dputtest"
)

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// posts are the queues that all promises hold for.
func posts(t *testing.T) map[string]*post {
	t.Helper()
	lines, authority := dputtest.Encrypted(t)
	tls := dputtest.VSFTPD(t, append(lines, replacing)...)
	tls.Authority = authority
	return map[string]*post{"sftp": dputtest.SSHD(t), "ftp": dputtest.VSFTPD(t, replacing), "ftp with TLS whose sessions must be reused": tls}
}

func send(t *testing.T, p *post, parcel dput.Parcel) dput.Receipt {
	t.Helper()
	receipt, err := p.Send(t.Context(), parcel)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func TestAnUploadArrivesOnce(t *testing.T) {
	for name, p := range posts(t) {
		t.Run(name, func(t *testing.T) {
			parcel := goods(p, 400_000, 3, 50_000, 0)
			receipt := send(t, p, parcel)
			isThere(t, p.Dir, parcel)
			if len(receipt.Sent) != 5 || receipt.Sent[4] != parcel.Changes.Name || receipt.Already || receipt.Unread {
				t.Errorf("%+v", receipt)
			}
			if secure := name != "ftp"; receipt.Secure != secure {
				t.Errorf("secure: %v", receipt.Secure)
			}
			before, _ := os.Stat(filepath.Join(p.Dir, parcel.Changes.Name))
			receipt = send(t, p, parcel)
			after, err := os.Stat(filepath.Join(p.Dir, parcel.Changes.Name))
			if !receipt.Already || receipt.Bytes != 0 || err != nil || !before.ModTime().Equal(after.ModTime()) {
				t.Errorf("again: %+v, %v", receipt, err)
			}
		})
	}
}

func TestWhatLiesThereIsKeptContinuedOrReplaced(t *testing.T) {
	for name, p := range posts(t) {
		t.Run(name, func(t *testing.T) {
			parcel := goods(p, 90_000, 90_000, 90_000, 90_000)
			for i, content := range [][]byte{contentOf(t, parcel.Files[0]), contentOf(t, parcel.Files[1])[:70_000], bytes.Repeat([]byte("?"), 90_000), bytes.Repeat([]byte("!"), 120_000)} {
				lay(t, p, parcel.Files[i].Name, content)
			}
			lay(t, p, parcel.Changes.Name, contentOf(t, parcel.Changes)[:10])
			receipt := send(t, p, parcel)
			isThere(t, p.Dir, parcel)
			want := int64(20_000 + 2*90_000 + parcel.Changes.Size - 10)
			if receipt.Bytes != want || fmt.Sprint(receipt.Kept) != fmt.Sprint([]string{parcel.Files[0].Name}) {
				t.Errorf("%d bytes were sent, not %d: %+v", receipt.Bytes, want, receipt)
			}
		})
	}
}

// lay puts a file into the queue as the server's own user.
func lay(t *testing.T, p *post, name string, content []byte) {
	t.Helper()
	path := filepath.Join(p.Dir, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := ownerOf(info)
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
}

func TestAnothersChangesIsLeftAlone(t *testing.T) {
	for name, p := range posts(t) {
		t.Run(name, func(t *testing.T) {
			parcel := goods(p, 9)
			lay(t, p, parcel.Changes.Name, bytes.Repeat([]byte("x"), int(parcel.Changes.Size)))
			_, err := p.Send(t.Context(), parcel)
			if !errors.As(err, new(debusine.Conflict)) || len(list(t, p.Dir)) != 1 {
				t.Errorf("%v; there is %v", err, list(t, p.Dir))
			}
		})
	}
}

// taker is a daemon behind a queue: it takes an upload whose .changes is whole, at
// once, and counts.
type taker struct {
	mu    sync.Mutex
	taken int
	stop  func()
}

func take(t *testing.T, dir string, parcel dput.Parcel) *taker {
	t.Helper()
	k := &taker{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	k.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if info, err := os.Stat(filepath.Join(dir, parcel.Changes.Name)); err == nil && info.Size() == parcel.Changes.Size {
				k.mu.Lock()
				k.taken++
				k.mu.Unlock()
				for _, f := range append(parcel.Files, parcel.Changes) {
					if got, err := os.ReadFile(filepath.Join(dir, f.Name)); err != nil || sumOf(got) != f.SHA256 {
						t.Errorf("the .changes was there before all of %s (%d of %d bytes): %v", f.Name, len(got), f.Size, err)
					}
					os.Remove(filepath.Join(dir, f.Name))
				}
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return k
}

// Wherever the line breaks, the upload is taken exactly once, by a daemon that
// takes it the moment that it is whole.
func TestWhereverTheLineIsCutTheUploadIsTakenOnce(t *testing.T) {
	steps := 6
	if testing.Short() {
		steps = 2
	}
	for name, p := range posts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parcel := goods(p, 100_000, 40_000)
			measure := &scissors{}
			p.Dial = measure.dial
			send(t, p, parcel)
			clear(t, p.Dir, parcel)
			up, down := measure.up.Load(), measure.down.Load()
			for i := range steps {
				// Most of what goes up is the files, and what is interesting is at the end.
				upAt := up * int64(i+1) / int64(steps+1)
				if i%2 == 0 {
					upAt = up - int64(parcel.Changes.Size)*int64(steps-i)/int64(steps) - 200
				}
				for _, s := range []*scissors{{cutUp: upAt}, {cutDown: down * int64(i+1) / int64(steps+1)}, {cutDown: down - int64(20*i)}} {
					isTakenOnce(t, p, parcel, s)
				}
			}
		})
	}
}

func isTakenOnce(t *testing.T, p *post, parcel dput.Parcel, s *scissors) {
	t.Helper()
	p.Dial = s.dial
	k := take(t, p.Dir, parcel)
	commits := 0
	parcel.Committing = func(context.Context, bool) error { commits++; return nil }
	receipt, err := p.Send(t.Context(), parcel)
	time.Sleep(20 * time.Millisecond)
	k.stop()
	if left := list(t, p.Dir); err != nil || k.taken != 1 || commits == 0 || len(left) > 0 {
		t.Errorf("cut after %d bytes up, %d down: taken %d times, left is %v, %+v, %v", s.cutUp, s.cutDown, k.taken, left, receipt, err)
	}
	clear(t, p.Dir, parcel)
}

func clear(t *testing.T, dir string, parcel dput.Parcel) {
	for _, f := range append(parcel.Files, parcel.Changes) {
		_ = os.Remove(filepath.Join(dir, f.Name))
	}
	_ = t
}

func TestWhatAnEarlierProcessBegan(t *testing.T) {
	p := dputtest.SSHD(t)
	tests := []struct {
		name    string
		begun   time.Duration // ago
		blind   bool
		there   int // files
		sent    int // files
		taken   bool
		refused bool
	}{
		{"all files are there: the .changes did not arrive", time.Minute, false, 2, 1, false, false},
		{"all are gone: a daemon took them", time.Minute, false, 0, 0, true, false},
		{"all are gone after a day: nobody knows", 24 * time.Hour, false, 0, 0, false, true},
		{"one is gone and stays so: nobody knows", time.Minute, false, 1, 0, false, true},
		{"nothing can be seen there: nobody knows", time.Minute, true, 0, 0, false, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			parcel := goods(p, 9, 9)
			parcel.Begun, parcel.Blind = time.Now().Add(-test.begun), test.blind
			parcel.Committing = func(context.Context, bool) error { t.Error("it was begun already"); return nil }
			for _, f := range parcel.Files[:test.there] {
				lay(t, p, f.Name, contentOf(t, f))
			}
			defer clear(t, p.Dir, parcel)
			p.Patience = 2 * time.Second
			receipt, err := p.Send(t.Context(), parcel)
			if refused := errors.As(err, new(debusine.Conflict)); refused != test.refused || !refused && err != nil || receipt.Taken != test.taken || len(receipt.Sent) != test.sent {
				t.Errorf("%+v, %v", receipt, err)
			}
		})
	}
}

func TestRefusalsAreNotTriedAgain(t *testing.T) {
	tests := []struct {
		name string
		post func(t *testing.T) *post
		want string
	}{
		{"sftp: a folder without the right to write", func(t *testing.T) *post { return mode(t, dputtest.SSHD(t), 0o555) }, "permission denied"},
		{"ftp: a folder without the right to write", func(t *testing.T) *post { return mode(t, dputtest.VSFTPD(t, replacing), 0o555) }, "553"},
		{"ftp: a server without the right to upload", func(t *testing.T) *post { return dputtest.VSFTPD(t, "anon_upload_enable=NO") }, "550"},
		{"sftp: a folder that is not there", func(t *testing.T) *post { p := dputtest.SSHD(t); p.Target.Path += "/none"; return p }, "not exist"},
		{"ftp: a folder that is not there", func(t *testing.T) *post { p := dputtest.VSFTPD(t); p.Target.Path += "/none"; return p }, "550"},
		{"sftp: another key than it knows", anotherKey, "does not let"},
		{"sftp: a host that is not known", func(t *testing.T) *post { p := dputtest.SSHD(t); dputtest.Write(t, p.KnownHosts[0], ""); return p }, "is not known"},
		{"sftp: a host whose key has changed", changedHost, "has changed"},
		{"sftp: no known_hosts file", func(t *testing.T) *post { p := dputtest.SSHD(t); p.KnownHosts = nil; return p }, "no known_hosts"},
		{"sftp: a key that others can read", func(t *testing.T) *post { p := dputtest.SSHD(t); _ = os.Chmod(p.KeyFile, 0o644); return p }, "can be read by others"},
		{"ftp: a user whose password nobody has", func(t *testing.T) *post { p := dputtest.VSFTPD(t); p.Target.User = "ftp"; return p }, "no file of passwords"},
		{"ftp: a password and no TLS", func(t *testing.T) *post { return withPassword(t, dputtest.VSFTPD(t), "secret") }, "not sent in clear"},
		{"ftp: a wrong password", wrongPassword, "530"},
		{"ftp: a password, and a certificate that nobody vouches for", func(t *testing.T) *post {
			lines, _ := dputtest.Encrypted(t)
			return withPassword(t, dputtest.VSFTPD(t, lines...), "secret")
		}, "is not good"},
		{"ftp: a file that may not be replaced", func(t *testing.T) *post {
			p := dputtest.VSFTPD(t)
			lay(t, p, goods(p, 9).Files[0].Name, []byte("part"))
			return p
		}, "553"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := test.post(t)
			p.Delays = []time.Duration{time.Hour}
			_, err := p.Send(t.Context(), goods(p, 9))
			if err == nil || !strings.Contains(err.Error(), test.want) || !errors.As(err, new(debusine.Forbidden)) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(filepath.Join(p.Dir, goods(p).Changes.Name)); err == nil {
				t.Error("the .changes is there")
			}
		})
	}
}

func mode(t *testing.T, p *post, mode os.FileMode) *post {
	t.Helper()
	if err := os.Chmod(p.Dir, mode); err != nil {
		t.Fatal(err)
	}
	return p
}

func anotherKey(t *testing.T) *post {
	p := dputtest.SSHD(t)
	p.KeyFile = filepath.Join(t.TempDir(), "other")
	dputtest.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", p.KeyFile)
	return p
}

func changedHost(t *testing.T) *post {
	p := dputtest.SSHD(t)
	other := filepath.Join(t.TempDir(), "other")
	dputtest.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
	p.Know(t, other+".pub")
	return p
}

func withPassword(t *testing.T, p *post, password string) *post {
	t.Helper()
	p.Target.User = "ftp"
	p.Netrc = dputtest.Write(t, filepath.Join(t.TempDir(), "netrc"), "machine example.org login ftp password no\nmachine 127.0.0.1\n login ftp\n password "+password+"\n")
	return p
}

// passwords makes vsftpd ask its anonymous user, who is also called ftp, for one.
func passwords(t *testing.T) (*post, string) {
	lines, authority := dputtest.Encrypted(t)
	list := dputtest.Write(t, filepath.Join(t.TempDir(), "passwords"), "secret\n")
	p := dputtest.VSFTPD(t, append(lines, "secure_email_list_enable=YES", "email_password_file="+list, replacing)...)
	p.Authority = authority
	return p, list
}

func wrongPassword(t *testing.T) *post {
	p, _ := passwords(t)
	return withPassword(t, p, "guess")
}

func TestAPasswordGoesOverAnEncryptedLine(t *testing.T) {
	p, _ := passwords(t)
	withPassword(t, p, "secret")
	parcel := goods(p, 5_000)
	if receipt := send(t, p, parcel); !receipt.Secure {
		t.Errorf("%+v", receipt)
	}
	isThere(t, p.Dir, parcel)
}

func TestAQueueThatShowsNothingTakesUploads(t *testing.T) {
	p := dputtest.VSFTPD(t, "cmds_denied=SIZE,RETR,LIST,NLST,MLSD,MLST,STAT")
	parcel := goods(p, 5_000, 5_000)
	blind := false
	parcel.Committing = func(_ context.Context, b bool) error { blind = b; return nil }
	send(t, p, parcel)
	isThere(t, p.Dir, parcel)
	if !blind {
		t.Error("that nothing can be seen is not known")
	}
}

func TestDelayedUploadsGoToTheirFolder(t *testing.T) {
	p := dputtest.VSFTPD(t, replacing)
	days := 3
	parcel := goods(p, 5_000)
	parcel.Target = p.Target.Delayed(&days)
	send(t, p, parcel)
	isThere(t, filepath.Join(p.Dir, "DELAYED/3-day"), parcel)
}

func TestAnAgentsKeyWillDo(t *testing.T) {
	p := dputtest.SSHD(t)
	p.Agent = sshAgent(t, p.KeyFile)
	p.KeyFile = ""
	parcel := goods(p, 5_000)
	send(t, p, parcel)
	isThere(t, p.Dir, parcel)
}

func TestAnUploadThatIsGivenUpEnds(t *testing.T) {
	p := dputtest.SSHD(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the work request was aborted")
	parcel := goods(p, 4_000_000, 9)
	parcel.Progress = func(string, int64) { cancel(why) }
	if _, err := p.Send(ctx, parcel); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(p.Dir, parcel.Changes.Name)); err == nil {
		t.Error("the .changes is there")
	}
}
