package stack

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"strconv"
	"testing"
	"time"
)

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func portText(n int) string { return strconv.Itoa(n) }

func TestCertificatesAreRenewedInTime(t *testing.T) {
	f, now := newFolder(t), time.Now()
	read := func(name string) []byte {
		data, err := os.ReadFile(f.path("pki", name+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	at := func(when time.Time) (ca, server []byte) {
		if err := f.certificates(when); err != nil {
			t.Fatal(err)
		}
		return read("ca"), read("server")
	}
	ca, server := at(now)
	if laterCA, laterServer := at(now.Add(334 * 24 * time.Hour)); !bytes.Equal(ca, laterCA) || !bytes.Equal(server, laterServer) {
		t.Error("something was renewed with 31 days left")
	}
	laterCA, laterServer := at(now.Add(336 * 24 * time.Hour))
	if !bytes.Equal(ca, laterCA) {
		t.Error("the authority was renewed after a year")
	}
	if bytes.Equal(server, laterServer) {
		t.Error("nothing was renewed with 29 days left")
	}
	if lastCA, lastServer := at(now.Add(authorityLife - 29*24*time.Hour)); bytes.Equal(ca, lastCA) || bytes.Equal(laterServer, lastServer) {
		t.Error("the authority and what it signed were not renewed at its end")
	}
	if err := os.WriteFile(f.path("pki", "client.key"), []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	at(now.Add(authorityLife - 29*24*time.Hour))
	if _, err := f.clientTLS("client"); err != nil {
		t.Errorf("a spoilt key was not made anew: %v", err)
	}
}

func TestKeysAreTheOwnersAlone(t *testing.T) {
	f := newFolder(t)
	if err := f.certificates(time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca", "server", "client", "ui"} {
		if info, err := os.Stat(f.path("pki", name+".key")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s.key: %v, %v", name, info, err)
		}
	}
}

// A client's certificate must not let its holder pose as the server.
func TestOnlyTheServersCertificateServes(t *testing.T) {
	f := newFolder(t)
	if err := f.certificates(time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, serves := range certificateNames() {
		as, err := f.clientTLS(name)
		if err != nil {
			t.Fatal(err)
		}
		l, err := tls.Listen("tcp", "127.0.0.1:0", as)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if conn, err := l.Accept(); err == nil {
				conn.(*tls.Conn).Handshake()
				conn.Close()
			}
		}()
		client, err := f.clientTLS("client")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), client)
		if (err == nil) != serves {
			t.Errorf("%s as a server: %v", name, err)
		}
		if conn != nil {
			conn.Close()
		}
		l.Close()
	}
}
