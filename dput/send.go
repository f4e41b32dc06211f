package dput

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"debusine"
)

// File is one file of an upload.
type File struct {
	Name   string
	Size   int64
	SHA256 string // lower-case hexadecimal
	Open   func() (io.ReadSeekCloser, error)
}

// Parcel is an upload on its way.
type Parcel struct {
	Target  Target
	Files   []File // all but the .changes
	Changes File

	// Begun is when an earlier attempt may have sent the .changes; zero: none has.
	Begun time.Time
	// Blind says that the files that it had sent could not be seen there.
	Blind bool
	// Committing is called before the first byte of a .changes that was not Begun.
	Committing func(ctx context.Context, blind bool) error
	// Progress is called while bytes go out; it may be nil.
	Progress func(file string, sent int64)
}

// Receipt tells what was done.
type Receipt struct {
	Sent    []string // files that went out, whole or the rest of them
	Kept    []string // files that lay there
	Bytes   int64    // what went over the line, of files
	Already bool     // the .changes lay there before
	Taken   bool     // nobody has acknowledged the .changes; the queue has emptied
	Unread  bool     // what lies there could not be read: sizes alone were compared
	Secure  bool     // the line was encrypted
}

// Sender brings uploads to queues. The zero Sender has no key and knows no host.
type Sender struct {
	KnownHosts []string // known_hosts files of OpenSSH; sftp needs one
	KeyFile    string   // a private key without a passphrase
	Agent      string   // socket of an SSH agent
	Netrc      string   // passwords for ftp: netrc(5)
	Authority  string   // PEM file of who certifies ftp servers; default: the system's

	Patience time.Duration   // with a server that is silent; default a minute
	Delays   []time.Duration // before each further attempt
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Log      *slog.Logger
}

// Delays are what a Sender should wait between attempts: some hours in all, fewer
// than after which queues are tidied.
func Delays() []time.Duration {
	return []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour}
}

// queue is one folder of a server.
type queue interface {
	// look says whether a file is there, and its size in bytes, -1 when that is
	// not told.
	look(name string) (found bool, size int64, err error)
	read(name string) (io.ReadCloser, error)
	// write puts bytes into a file from an offset on, which is 0 or its size.
	write(name string, from io.Reader, at int64) error
	secure() bool
	close()
}

func (s *Sender) open(ctx context.Context, t Target) (queue, error) {
	if t.Scheme == "sftp" {
		return s.openSFTP(ctx, t)
	}
	return s.openFTP(ctx, t)
}

// Send brings a parcel to its target, in as many attempts as there are delays
// and one. When ctx ends, the error is its cause.
func (s *Sender) Send(ctx context.Context, p Parcel) (Receipt, error) {
	d := &delivery{Sender: s, Parcel: p, done: map[string]bool{}}
	for n := 0; ; n++ {
		err := d.attempt(ctx)
		switch {
		case err == nil:
			return d.receipt, nil
		case ctx.Err() != nil:
			return d.receipt, context.Cause(ctx)
		case lasting(err) || n >= len(s.Delays):
			return d.receipt, fmt.Errorf("uploading to %s: %w", p.Target, err)
		}
		if s.Log != nil {
			s.Log.Warn("an upload is tried again", "target", p.Target.String(), "changes", p.Changes.Name, "in", s.Delays[n], "error", err)
		}
		select {
		case <-ctx.Done():
			return d.receipt, context.Cause(ctx)
		case <-time.After(s.Delays[n]):
		}
	}
}

// delivery is one Send.
type delivery struct {
	*Sender
	Parcel
	receipt Receipt
	done    map[string]bool // acknowledged in this Send, or read and found the same
}

// attempt goes through the whole of it on one connection.
func (d *delivery) attempt(ctx context.Context) error {
	q, err := d.open(ctx, d.Target)
	if err != nil {
		return err
	}
	defer q.close()
	d.receipt.Secure = q.secure()
	state, _, err := d.state(q, d.Changes)
	if err != nil {
		return err
	}
	if over, err := d.judge(ctx, q, state); over || err != nil {
		return err
	}
	for _, f := range d.Files {
		if err := d.put(q, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	fresh := d.Begun.IsZero()
	if err := d.commit(ctx, q); err != nil {
		return fmt.Errorf("noting that the .changes is about to be sent: %w", err)
	}
	before := d.receipt.Bytes
	if err := d.put(q, d.Changes); err != nil {
		if fresh && d.receipt.Bytes == before {
			d.Begun = time.Time{} // no byte of it has gone out
		}
		return fmt.Errorf("%s: %w", d.Changes.Name, err)
	}
	return nil
}

// commit notes that the .changes will be sent now, and whether the files that
// were sent can be seen.
func (d *delivery) commit(ctx context.Context, q queue) error {
	if !d.Begun.IsZero() {
		return nil
	}
	for _, f := range d.Files {
		found, _, err := q.look(f.Name)
		if err != nil {
			return err
		}
		d.Blind = d.Blind || !found
	}
	if d.Committing != nil {
		if err := d.Committing(ctx, d.Blind); err != nil {
			return err
		}
	}
	d.Begun = time.Now()
	return nil
}

// judge decides by the .changes that lies there, or does not, whether it is over.
func (d *delivery) judge(ctx context.Context, q queue, state state) (over bool, err error) {
	ours := !d.Begun.IsZero()
	switch {
	case state == whole, state == likely:
		d.receipt.Already = true
		d.receipt.Unread = d.receipt.Unread || state == likely
		return true, nil
	case state == absent && ours:
		return d.taken(ctx, q)
	case state == absent, state == part, state == unknown && ours:
		return false, nil // what lies there is not whole: no daemon has taken it
	}
	return false, debusine.Conflict{What: fmt.Sprintf("another %s lies there already", d.Changes.Name),
		Hint: "wait until the archive has processed it, or have it removed (dcut(1)); two uploads of one name would be mixed"}
}

// noTidying is for how long no daemon is known to leave an incomplete upload:
// debianqueued tidies after days.
const noTidying = 6 * time.Hour

// taken looks whether the queue has been emptied since the .changes was sent. A
// daemon at work removes file by file, so what is half done is looked at again.
func (d *delivery) taken(ctx context.Context, q queue) (bool, error) {
	for range 5 {
		if d.Blind {
			break
		}
		there := 0
		for _, f := range d.Files {
			found, _, err := q.look(f.Name)
			if err != nil {
				return false, err
			}
			if found {
				there++
			}
		}
		switch {
		case there == len(d.Files) && there > 0:
			return false, nil
		case there == 0 && len(d.Files) > 0 && time.Since(d.Begun) < noTidying:
			d.receipt.Taken = true
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(d.again()):
		}
	}
	return false, debusine.Conflict{
		What: fmt.Sprintf("the .changes may have been sent on %s, and now neither it nor all of its files are there: they may have been taken, or tidied away",
			d.Begun.UTC().Format(time.DateTime)),
		Hint: "ask the archive whether it has the upload; if not, upload a copy of it"}
}

// again is the time between two looks, short where tests are impatient.
func (d *delivery) again() time.Duration {
	return min(3*time.Second, max(d.Patience/20, 50*time.Millisecond))
}
