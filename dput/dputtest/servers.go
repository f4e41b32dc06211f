// Package dputtest starts upload queues for tests: OpenSSH's sftp and vsftpd, on
// loopback, until the test ends.
package dputtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"debusine/dput"
)

// Post is a queue on a server of this test, and a sender that may use it.
type Post struct {
	dput.Sender
	Target dput.Target
	Dir    string // the queue, as this machine sees it
}

// Reachable makes a folder that another user can go to: below /tmp, where t.TempDir
// has a folder that is root's alone.
func Reachable(t *testing.T) string {
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

// Write writes a file that others cannot read.
func Write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Run runs a command that must succeed.
func Run(t *testing.T, name string, args ...string) string {
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

// SSHD starts an OpenSSH server that lets one key in, to sftp alone.
func SSHD(t *testing.T) *Post {
	t.Helper()
	dir, port := Reachable(t), freePort(t)
	name, uid, gid := someone(t)
	p := &Post{Dir: filepath.Join(dir, "queue"), Target: dput.Target{Scheme: "sftp", User: name, Host: "127.0.0.1", Port: port, Path: filepath.Join(dir, "queue")}}
	p.KeyFile, p.KnownHosts = filepath.Join(dir, "key"), []string{filepath.Join(dir, "known_hosts")}
	for _, key := range []string{"key", "host"} {
		Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	p.Know(t, filepath.Join(dir, "host.pub"))
	config := Write(t, filepath.Join(dir, "sshd_config"), strings.Join([]string{
		"ListenAddress 127.0.0.1", "Port " + fmt.Sprint(port), "HostKey " + filepath.Join(dir, "host"), "PidFile none", "UsePAM yes", "StrictModes no",
		"AuthorizedKeysFile " + filepath.Join(dir, "key.pub"), "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin no",
		"Subsystem sftp internal-sftp", "ForceCommand internal-sftp", "MaxStartups 100", "LogLevel ERROR", ""}, "\n"))
	if err := os.Mkdir(p.Dir, 0o755); err != nil {
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

// Know writes a host's key into the known_hosts file.
func (p *Post) Know(t *testing.T, public string) {
	t.Helper()
	raw, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	Write(t, p.KnownHosts[0], knownhosts.Line([]string{knownhosts.Normalize(fmt.Sprintf("%s:%d", p.Target.Host, p.Target.Port))}, key)+"\n")
}

func (p *Post) impatient(t *testing.T) {
	p.Patience = 10 * time.Second
	p.Delays = []time.Duration{10 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond}
	_ = t
}

// VSFTPD starts vsftpd, with lines of configuration beyond its common ones. It
// drops rights by itself, for which it must be root.
func VSFTPD(t *testing.T, lines ...string) *Post {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("vsftpd is started by root")
	}
	if _, err := user.Lookup("ftp"); err != nil {
		t.Skip("vsftpd is not installed; hint: make test-deps")
	}
	dir, port := Reachable(t), freePort(t)
	p := &Post{Dir: filepath.Join(dir, "pub", "queue"), Target: dput.Target{Scheme: "ftp", Host: "127.0.0.1", Port: port, Path: "/queue"}}
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
	config := Write(t, filepath.Join(dir, "vsftpd.conf"), strings.Join(append([]string{
		"listen=YES", "listen_address=127.0.0.1", fmt.Sprintf("listen_port=%d", port), "background=NO", "seccomp_sandbox=NO",
		"anonymous_enable=YES", "local_enable=NO", "write_enable=YES", "anon_upload_enable=YES", "anon_umask=022",
		"anon_root=" + filepath.Join(dir, "pub"), "secure_chroot_dir=" + filepath.Join(dir, "empty"), "xferlog_enable=NO"}, lines...), "\n")+"\n")
	daemon(t, port, 0, 0, "vsftpd", config)
	p.impatient(t)
	return p
}

// Replacing lets those who upload continue and replace files.
const Replacing = "anon_other_write_enable=YES"

// Encrypted are vsftpd's lines for TLS, with a certificate that is made here.
func Encrypted(t *testing.T) (lines []string, authority string) {
	t.Helper()
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	Run(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
	return []string{"ssl_enable=YES", "allow_anon_ssl=YES", "require_ssl_reuse=YES", "force_anon_logins_ssl=YES", "force_anon_data_ssl=YES",
		"rsa_cert_file=" + cert, "rsa_private_key_file=" + key}, cert
}
