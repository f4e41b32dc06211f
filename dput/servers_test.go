package dput_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"debusine/dput"
)

// post is a queue on a server of this test, and a sender that may use it.
type post struct {
	dput.Sender
	target dput.Target
	dir    string // the queue, as this machine sees it
}

// reachable makes a folder that another user can go to: below /tmp, where t.TempDir
// has a folder that is root's alone.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dput-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	said, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, said)
	}
	return string(said)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// daemon runs a server until the test ends, with all that it has started.
func daemon(t *testing.T, port int, uid, gid int, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skipf("%s is not installed; hint: make test-deps", name)
		}
	}
	c := exec.Command(path, args...)
	c.Stdout, c.Stderr = t.Output(), t.Output()
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if uid > 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	c.WaitDelay = time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
	})
	for range 200 {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not listen", name)
}

// someone is a user without rights, or who runs the test when that is not root.
func someone(t *testing.T) (name string, uid, gid int) {
	t.Helper()
	me, err := user.Current()
	if err == nil && me.Uid == "0" {
		me, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, _ = strconv.Atoi(me.Uid)
	gid, _ = strconv.Atoi(me.Gid)
	return me.Username, uid, gid
}

// sshd starts an OpenSSH server that lets one key in, to sftp alone.
func sshd(t *testing.T) *post {
	t.Helper()
	dir, port := reachable(t), freePort(t)
	name, uid, gid := someone(t)
	p := &post{dir: filepath.Join(dir, "queue"), target: dput.Target{Scheme: "sftp", User: name, Host: "127.0.0.1", Port: port, Path: filepath.Join(dir, "queue")}}
	p.KeyFile, p.KnownHosts = filepath.Join(dir, "key"), []string{filepath.Join(dir, "known_hosts")}
	for _, key := range []string{"key", "host"} {
		run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	p.know(t, filepath.Join(dir, "host.pub"))
	config := write(t, filepath.Join(dir, "sshd_config"), strings.Join([]string{
		"ListenAddress 127.0.0.1", "Port " + fmt.Sprint(port), "HostKey " + filepath.Join(dir, "host"), "PidFile none", "UsePAM yes", "StrictModes no",
		"AuthorizedKeysFile " + filepath.Join(dir, "key.pub"), "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin no",
		"Subsystem sftp internal-sftp", "ForceCommand internal-sftp", "MaxStartups 100", "LogLevel ERROR", ""}, "\n"))
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"host", "key.pub", "sshd_config", "queue"} {
		if err := os.Chown(filepath.Join(dir, file), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	daemon(t, port, uid, gid, "sshd", "-D", "-e", "-f", config)
	p.impatient(t)
	return p
}

// know writes a host's key into the known_hosts file.
func (p *post) know(t *testing.T, public string) {
	t.Helper()
	raw, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.KnownHosts[0], knownhosts.Line([]string{knownhosts.Normalize(fmt.Sprintf("%s:%d", p.target.Host, p.target.Port))}, key)+"\n")
}

func (p *post) impatient(t *testing.T) {
	p.Patience = 10 * time.Second
	p.Delays = []time.Duration{10 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond}
	_ = t
}

// vsftpd starts vsftpd, with lines of configuration beyond its common ones. It
// drops rights by itself, for which it must be root.
func vsftpd(t *testing.T, lines ...string) *post {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("vsftpd is started by root")
	}
	if _, err := user.Lookup("ftp"); err != nil {
		t.Skip("vsftpd is not installed; hint: make test-deps")
	}
	dir, port := reachable(t), freePort(t)
	p := &post{dir: filepath.Join(dir, "pub", "queue"), target: dput.Target{Scheme: "ftp", Host: "127.0.0.1", Port: port, Path: "/queue"}}
	ftp, _ := user.Lookup("ftp")
	uid, _ := strconv.Atoi(ftp.Uid)
	for _, folder := range []string{"pub", "pub/queue", "pub/queue/DELAYED", "pub/queue/DELAYED/3-day", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(folder, "pub/") {
			if err := os.Chown(filepath.Join(dir, folder), uid, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	config := write(t, filepath.Join(dir, "vsftpd.conf"), strings.Join(append([]string{
		"listen=YES", "listen_address=127.0.0.1", fmt.Sprintf("listen_port=%d", port), "background=NO", "seccomp_sandbox=NO",
		"anonymous_enable=YES", "local_enable=NO", "write_enable=YES", "anon_upload_enable=YES", "anon_umask=022",
		"anon_root=" + filepath.Join(dir, "pub"), "secure_chroot_dir=" + filepath.Join(dir, "empty"), "xferlog_enable=NO"}, lines...), "\n")+"\n")
	daemon(t, port, 0, 0, "vsftpd", config)
	p.impatient(t)
	return p
}

// replacing lets those who upload continue and replace files.
const replacing = "anon_other_write_enable=YES"

// encrypted are vsftpd's lines for TLS, with a certificate that is made here.
func encrypted(t *testing.T) (lines []string, authority string) {
	t.Helper()
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	run(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
	return []string{"ssl_enable=YES", "allow_anon_ssl=YES", "require_ssl_reuse=YES", "force_anon_logins_ssl=YES", "force_anon_data_ssl=YES",
		"rsa_cert_file=" + cert, "rsa_private_key_file=" + key}, cert
}

// scissors cut connections: all that are open, once, after some bytes have gone
// up to the server or come down from it.
type scissors struct {
	up, down atomic.Int64 // bytes so far, of all connections
	cutUp    int64        // 0: never
	cutDown  int64
	cut      atomic.Bool
}

// dial connects through a pair of goroutines that count.
func (s *scissors) dial(ctx context.Context, network, address string) (net.Conn, error) {
	far, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &snipped{far, s}, nil
}

type snipped struct {
	net.Conn
	s *scissors
}

var errCut = errors.New("the line is cut")

// Write gives the server what is left before the cut, then nothing.
func (c *snipped) Write(b []byte) (int, error) {
	s := c.s
	if at := s.cutUp; at > 0 && !s.cut.Load() {
		if left := at - s.up.Load(); int64(len(b)) > left {
			n, _ := c.Conn.Write(b[:max(left, 0)])
			s.cut.Store(true)
			c.Close()
			return n, errCut
		}
	}
	n, err := c.Conn.Write(b)
	s.up.Add(int64(n))
	return n, err
}

// Read loses the answer that crosses the cut.
func (c *snipped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	s := c.s
	if s.down.Add(int64(n)) > s.cutDown && s.cutDown > 0 && !s.cut.Swap(true) {
		c.Close()
		return 0, errCut
	}
	return n, err
}

// parcel is an upload of some files, the larger in several packets.
func (p *post) parcel(sizes ...int) dput.Parcel {
	parcel := dput.Parcel{Target: p.target}
	for i, size := range sizes {
		parcel.Files = append(parcel.Files, fileOf(fmt.Sprintf("hello_2.10-%d.tar.xz", i), bytes.Repeat([]byte{byte('a' + i), '\r', '\n'}, size/3)))
	}
	parcel.Changes = fileOf("hello_2.10_source.changes", bytes.Repeat([]byte("Format: 1.8\n"), 300))
	return parcel
}

type held struct{ *bytes.Reader }

func (held) Close() error { return nil }

func fileOf(name string, content []byte) dput.File {
	return dput.File{Name: name, Size: int64(len(content)), SHA256: sumOf(content),
		Open: func() (io.ReadSeekCloser, error) { return held{bytes.NewReader(content)}, nil }}
}

func contentOf(t *testing.T, f dput.File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// isThere compares bytes.
func isThere(t *testing.T, dir string, parcel dput.Parcel) {
	t.Helper()
	for _, f := range append(parcel.Files, parcel.Changes) {
		got, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil || !bytes.Equal(got, contentOf(t, f)) {
			t.Errorf("%s: %d bytes lie there, not those %d: %v", f.Name, len(got), f.Size, err)
		}
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}
