package dput

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"debusine"
)

// sftpQueue is a folder spoken to by sftp.
type sftpQueue struct {
	line   *line
	client *sftp.Client
	shell  *ssh.Client
	folder string
}

func (s *Sender) openSFTP(ctx context.Context, t Target) (queue, error) {
	if t.User == "" {
		me, err := user.Current()
		if err != nil {
			return nil, debusine.Invalid{What: "the target names no user, and who runs the server has no name", Hint: "sftp://USER@HOST/PATH"}
		}
		t.User = me.Username
	}
	check := &hostCheck{address: t.address()}
	if err := check.read(s.KnownHosts); err != nil {
		return nil, err
	}
	l := s.newLine(ctx)
	shell, err := s.logIn(l, t, check)
	if err != nil {
		l.close()
		return nil, err
	}
	client, err := sftp.NewClient(shell, sftp.UseConcurrentWrites(true))
	if err != nil {
		l.close()
		return nil, said("starting sftp", err)
	}
	q := &sftpQueue{line: l, client: client, shell: shell, folder: t.folder()}
	if info, err := client.Stat(q.folder); err != nil || !info.IsDir() {
		q.close()
		if err == nil {
			err = debusine.Forbidden{What: fmt.Sprintf("%s is no folder there", q.folder)}
		}
		return nil, said("going to "+q.folder, err)
	}
	return q, nil
}

// logIn calls and authenticates. The key of the host is settled first: nothing of
// ours is shown to another.
func (s *Sender) logIn(l *line, t Target, check *hostCheck) (*ssh.Client, error) {
	methods, done, err := s.methods(l.ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	c, err := l.connect(t.address())
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{User: t.User, Auth: methods, HostKeyCallback: check.check, HostKeyAlgorithms: check.algorithms, ClientVersion: "SSH-2.0-debusine"}
	conn, channels, requests, err := ssh.NewClientConn(c, t.address(), config)
	switch {
	case check.fault != nil:
		return nil, check.fault
	case err != nil && strings.Contains(err.Error(), "unable to authenticate"):
		return nil, debusine.Forbidden{What: fmt.Sprintf("%s does not let %s in with our key", t.Host, t.User), Hint: "give the server the public half: ~/.ssh/authorized_keys there"}
	case err != nil:
		return nil, fmt.Errorf("logging in at %s: %s", t.Host, plain(err.Error()))
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// methods are the ways to authenticate; done ends what they need.
func (s *Sender) methods(ctx context.Context) (methods []ssh.AuthMethod, done func(), err error) {
	done = func() {}
	if s.KeyFile != "" {
		raw, err := readPrivate(s.KeyFile)
		if err != nil {
			return nil, nil, err
		}
		key, err := ssh.ParsePrivateKey(raw)
		if locked := (*ssh.PassphraseMissingError)(nil); errors.As(err, &locked) {
			return nil, nil, debusine.Forbidden{What: s.KeyFile + " has a passphrase", Hint: "use a key without one, or an SSH agent"}
		}
		if err != nil {
			return nil, nil, debusine.Forbidden{What: s.KeyFile + " is no private key of SSH"} // the parser's words may quote it
		}
		methods = append(methods, ssh.PublicKeys(key))
	}
	if s.Agent != "" {
		c, err := new(net.Dialer).DialContext(ctx, "unix", s.Agent)
		if err != nil {
			return nil, nil, fmt.Errorf("asking the SSH agent: %w", err)
		}
		done = func() { c.Close() }
		methods = append(methods, ssh.PublicKeysCallback(agent.NewClient(c).Signers))
	}
	if len(methods) == 0 {
		return nil, nil, debusine.Forbidden{What: "there is no key to upload by sftp with", Hint: "debusine server --upload-ssh-key FILE or --upload-ssh-agent SOCKET"}
	}
	return methods, done, nil
}

// readPrivate reads a file of secrets that others must not.
func readPrivate(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, debusine.Forbidden{What: "reading secrets for uploads: " + err.Error()}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, debusine.Forbidden{What: name + " can be read by others", Hint: "chmod 600 " + name}
	}
	return os.ReadFile(name)
}

// hostCheck holds a host to the keys that are known of it.
type hostCheck struct {
	address    string
	known      ssh.HostKeyCallback
	algorithms []string // that its known keys are of
	fault      error
}

// noKey is a key that no host has: who is asked about it names those known.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("this is no key") }

func (h *hostCheck) read(files []string) (err error) {
	if len(files) == 0 {
		return debusine.Forbidden{What: "no known_hosts file is configured, so no host can be trusted", Hint: "debusine server --upload-known-hosts FILE"}
	}
	if h.known, err = knownhosts.New(files...); err != nil {
		return debusine.Forbidden{What: "reading known hosts: " + err.Error()}
	}
	var key *knownhosts.KeyError
	if err := h.known(h.address, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); errors.As(err, &key) {
		for _, want := range key.Want {
			h.algorithms = append(h.algorithms, algorithmsOf(want.Key.Type())...)
		}
	}
	return nil
}

// algorithmsOf a kind of key: that of RSA signs in several ways.
func algorithmsOf(kind string) []string {
	if kind == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{kind}
}

// check is asked by ssh; its fault survives what ssh makes of it.
func (h *hostCheck) check(address string, remote net.Addr, key ssh.PublicKey) error {
	err := h.known(address, remote, key)
	var wrong *knownhosts.KeyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && len(wrong.Want) == 0:
		h.fault = debusine.Forbidden{What: fmt.Sprintf("the key of host %s is not known (it shows %s)", address, ssh.FingerprintSHA256(key)),
			Hint: "learn its key from who runs it, and add it to the known_hosts file (ssh-keyscan, then compare)"}
	case errors.As(err, &wrong):
		h.fault = debusine.Forbidden{What: fmt.Sprintf("the key of host %s has changed: it shows %s, but %s is known (%s:%d)", address,
			ssh.FingerprintSHA256(key), ssh.FingerprintSHA256(wrong.Want[0].Key), wrong.Want[0].Filename, wrong.Want[0].Line),
			Hint: "somebody may be in between; ask who runs it before you change the known_hosts file"}
	default:
		h.fault = debusine.Forbidden{What: fmt.Sprintf("the key of host %s is refused: %s", address, plain(err.Error()))}
	}
	return h.fault
}

func (q *sftpQueue) path(name string) string { return path.Join(q.folder, name) }

func (q *sftpQueue) look(name string) (bool, int64, error) {
	info, err := q.client.Lstat(q.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, 0, nil
	case err != nil:
		return false, 0, said("looking for "+name, err)
	case !info.Mode().IsRegular():
		return false, 0, debusine.Conflict{What: fmt.Sprintf("%s is there, and is no plain file", name)}
	}
	return true, info.Size(), nil
}

func (q *sftpQueue) read(name string) (io.ReadCloser, error) {
	f, err := q.client.Open(q.path(name))
	if err != nil {
		return nil, said("reading "+name, err)
	}
	return f, nil
}

func (q *sftpQueue) write(name string, from io.Reader, at int64) error {
	flags := os.O_WRONLY | os.O_CREATE
	if at == 0 {
		flags |= os.O_TRUNC
	}
	f, err := q.client.OpenFile(q.path(name), flags)
	if err != nil {
		return said("writing "+name, err)
	}
	if _, err = f.Seek(at, io.SeekStart); err == nil {
		_, err = f.ReadFromWithConcurrency(from, 64)
	}
	if err != nil {
		// Several pieces are under way at once: behind one that failed there may be
		// others, with a hole before them.
		_ = f.Truncate(at)
		_ = f.Close()
		return said("writing "+name, err)
	}
	return said("writing "+name, f.Close())
}

func (q *sftpQueue) secure() bool { return true }

func (q *sftpQueue) close() { q.line.close() }
