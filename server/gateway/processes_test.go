package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"debusine"
	"debusine/stack"
	"debusine/store"
)

// certificate makes an authority that is its own server's certificate, for
// loopback, as files.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	cert, key = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	return cert, key
}

// process is one of ours, in a group of its own.
type process struct {
	cmd  *exec.Cmd
	log  string
	gone chan struct{}
}

func launch(t *testing.T, log string, env []string, program string, args ...string) *process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer out.Close()
	p := &process{cmd: exec.Command(program, args...), log: log, gone: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = out, out, append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, p.cmd.Start())
	go func() { p.cmd.Wait(); close(p.gone) }()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

func (p *process) end(signal syscall.Signal) {
	syscall.Kill(-p.cmd.Process.Pid, signal)
	<-p.gone
}

func (p *process) said(words string) bool {
	raw, _ := os.ReadFile(p.log)
	return strings.Contains(string(raw), words)
}

// freePort is one that was free a moment ago.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// servers are two processes of `debusine server` on the site's database, each with a
// machine of its own that joins it through TLS.
type servers struct {
	*site
	t                       *testing.T
	dir, program, cert, key string
	sides                   [2]side
}

type side struct {
	api, gateway   string
	server, worker *process
}

func newServers(t *testing.T, s *site) *servers {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "debusine-processes-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	p := &servers{site: s, t: t, dir: dir, program: filepath.Join(dir, "debusine")}
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", p.program, "debusine/cmd/debusine").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.cert, p.key = certificate(t, dir)
	for i := range p.sides {
		p.sides[i].api, p.sides[i].gateway = freePort(t), freePort(t)
		p.serve(i)
		p.join(i)
	}
	t.Cleanup(func() {
		for i, side := range p.sides {
			if raw, _ := os.ReadFile(side.server.log); t.Failed() {
				other, _ := os.ReadFile(side.worker.log)
				t.Logf("server %d:\n%.6000s\nmachine:\n%.4000s", i, raw, other)
			}
		}
	})
	return p
}

// serve starts server i, again after it was killed.
func (p *servers) serve(i int) {
	side := &p.sides[i]
	ca, cert, key := infrastructure.TemporalFiles()
	side.server = launch(p.t, fmt.Sprintf("%s/server%d.log", p.dir, i), nil, p.program, "server", "--database", p.db.Pool().Config().ConnString(),
		"--temporal", infrastructure.TemporalAddress(), "--temporal-namespace", stack.Namespace, "--temporal-tls-ca", ca, "--temporal-tls-cert", cert,
		"--temporal-tls-key", key, "--files", p.dir+"/files", "--listen", side.api, "--gateway-listen", side.gateway, "--tls-cert", p.cert, "--tls-key", p.key)
}

// join starts the machine of server i.
func (p *servers) join(i int) {
	name := fmt.Sprintf("machine%d", i)
	id, secret := p.machine(name, 1)
	p.exec(`UPDATE workers SET static_metadata = $2 WHERE id = $1`, id, map[string]any{"provided_tags": []string{"worker:class:" + p.class("x")}})
	must(p.t, os.WriteFile(filepath.Join(p.dir, name+".token"), []byte(secret), 0o600))
	must(p.t, os.Mkdir(filepath.Join(p.dir, name), 0o755))
	p.sides[i].worker = launch(p.t, fmt.Sprintf("%s/%s.log", p.dir, name), []string{"SSL_CERT_FILE=" + p.cert, "SSL_CERT_DIR=" + p.dir}, p.program, "worker",
		"--api-url", "https://"+p.sides[i].api+"/api", "--token-file", filepath.Join(p.dir, name+".token"), "--name", name, "--arch", "amd64",
		"--state", filepath.Join(p.dir, name))
}

// Two server processes with certificates share the queues; two machines, each
// real, are joined to one each. One server is killed in the middle and comes
// again: nothing is lost, and nothing is done twice.
func TestTwoServersShareTheQueuesAndOneIsKilled(t *testing.T) {
	s := newSite(t)
	s.stop() // the processes are the gateways
	p := newServers(t, s)
	sides := &p.sides
	for i := range sides {
		within(t, 60*time.Second, "the machine joins through TLS", func() bool { return sides[i].worker.said("msg=joined") })
	}
	const many = 30
	for range many {
		s.start(s.sleep("0.1"))
	}
	done := func() int { return s.count(`SELECT count(*) FROM work_requests WHERE status = 'completed'`) }
	by := func(i int) int {
		return s.count(`SELECT count(*) FROM attempts a JOIN workers w ON w.id = a.worker_id WHERE w.name = $1`, fmt.Sprintf("machine%d", i))
	}
	within(t, 60*time.Second, "both work", func() bool { return by(0) > 2 && by(1) > 2 })
	sides[1].server.end(syscall.SIGKILL)
	before := done()
	within(t, 60*time.Second, "the other goes on", func() bool { return done() > before+2 })
	p.serve(1)
	within(t, 120*time.Second, "all is done", func() bool { return done() == many })
	if n := s.count(`SELECT count(*) FROM work_requests WHERE result <> 'success'`); n != 0 {
		t.Errorf("%d did not succeed", n)
	}
	if n := s.count(`SELECT count(*) FROM attempts WHERE ending = 'completed'`); n != many {
		t.Errorf("%d attempts completed, of %d", n, many)
	}
	if n := s.count(`SELECT coalesce(sum(losses), 0)::int FROM work_requests`); n != 0 {
		t.Errorf("%d losses are counted", n)
	}
	within(t, 60*time.Second, "Temporal knows of all", func() bool {
		return s.count(`SELECT count(*) FROM work_requests WHERE NOT temporal_closed`) == 0
	})
	t.Logf("%d and %d attempts", by(0), by(1))
	for i := range sides {
		sides[i].worker.end(syscall.SIGTERM)
		began := time.Now()
		sides[i].server.end(syscall.SIGTERM)
		if took := time.Since(began); took > 25*time.Second || !sides[i].server.said("server stopped") {
			t.Errorf("server %d stopped after %s", i, took)
		}
	}
}

// sleep makes a work request for the machines of this site alone.
func (s *site) sleep(seconds string) int64 {
	s.t.Helper()
	var workspace, user int64
	ctx := context.Background()
	must(s.t, s.db.Pool().QueryRow(ctx, `SELECT w.id, u.id FROM workspaces w, users u LIMIT 1`).Scan(&workspace, &user))
	id, err := s.db.Create(ctx, store.New{WorkspaceID: workspace, CreatedBy: user, TaskType: debusine.WorkerTask, TaskName: "sleep",
		Data: []byte(`{"seconds": ` + seconds + `, "class": "` + s.class("x") + `"}`)})
	must(s.t, err)
	return id
}
