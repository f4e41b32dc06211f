package dput

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"slices"
	"time"

	"github.com/jlaffaye/ftp"

	"debusine"
)

// ftpQueue is a folder spoken to by ftp.
type ftpQueue struct {
	line  *line
	conn  *ftp.ServerConn
	tls   bool
	names []string // what lies there, asked for at most once a connection
	asked bool
}

// openFTP logs in, encrypted where the server can. A password goes only over an
// encrypted line to a server whose certificate is good; an anonymous upload is
// signed, and goes to whom it may.
func (s *Sender) openFTP(ctx context.Context, t Target) (queue, error) {
	account, err := s.account(t)
	if err != nil {
		return nil, err
	}
	config, err := s.tlsConfig(t, account.secret)
	if err != nil {
		return nil, err
	}
	q, err := s.callFTP(ctx, t, config)
	if noTLS(err) {
		if account.secret {
			return nil, debusine.Forbidden{What: fmt.Sprintf("%s offers no TLS, and a password is not sent in clear", t.Host), Hint: "upload anonymously, or by sftp"}
		}
		q, err = s.callFTP(ctx, t, nil)
	}
	if err != nil {
		return nil, said("calling "+t.Host, err)
	}
	if err := q.enter(t, account); err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

func (s *Sender) tlsConfig(t Target, verify bool) (*tls.Config, error) {
	// The data connections must resume the session: vsftpd's require_ssl_reuse.
	config := &tls.Config{ServerName: t.Host, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if s.Authority != "" {
		raw, err := os.ReadFile(s.Authority)
		if err != nil {
			return nil, debusine.Forbidden{What: "reading who certifies ftp servers: " + err.Error()}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(raw) {
			return nil, debusine.Forbidden{What: s.Authority + " holds no certificate in PEM"}
		}
	}
	config.InsecureSkipVerify = !verify && s.Authority == ""
	return config, nil
}

// callFTP connects; with a config, it insists on TLS.
func (s *Sender) callFTP(ctx context.Context, t Target, config *tls.Config) (*ftpQueue, error) {
	l := s.newLine(ctx)
	control := true
	options := []ftp.DialOption{ftp.DialWithDialFunc(func(_, address string) (net.Conn, error) {
		c, err := l.connect(address)
		if err != nil || control || config == nil {
			control = false
			return c, err
		}
		return tls.Client(c, config), nil
	})}
	if config != nil {
		options = append(options, ftp.DialWithExplicitTLS(config))
	}
	conn, err := ftp.Dial(t.address(), options...)
	if err != nil {
		l.close()
		return nil, err
	}
	return &ftpQueue{line: l, conn: conn, tls: config != nil}, nil
}

// noTLS says whether the server refused AUTH TLS, rather than anything else.
func noTLS(err error) bool {
	var code *textproto.Error
	return errors.As(err, &code) && slices.Contains([]int{500, 501, 502, 503, 504, 530, 534}, code.Code)
}

// enter logs in and goes to the folder.
func (q *ftpQueue) enter(t Target, a account) error {
	var bad *tls.CertificateVerificationError
	switch err := q.conn.Login(a.user, a.password); {
	case errors.As(err, &bad):
		return debusine.Forbidden{What: fmt.Sprintf("the certificate of %s is not good: %s", t.Host, plain(bad.Err.Error())),
			Hint: "debusine server --upload-ftp-ca FILE names who certifies it"}
	case err != nil:
		return said("logging in as "+a.user, err)
	}
	if err := q.conn.ChangeDir(t.folder()); err != nil {
		return said("going to "+t.folder(), err)
	}
	return nil
}

// look asks for the size. 550 means that there is no such file, or that it may
// not be looked at: a listing tells which, where there is one.
func (q *ftpQueue) look(name string) (bool, int64, error) {
	size, err := q.conn.FileSize(name)
	var code *textproto.Error
	switch {
	case err == nil:
		return true, size, nil
	case !errors.As(err, &code) || code.Code < 500:
		return false, 0, said("looking for "+name, err)
	}
	if err := q.list(); err != nil {
		return false, 0, err
	}
	return slices.Contains(q.names, name), -1, nil
}

func (q *ftpQueue) list() error {
	if q.asked {
		return nil
	}
	names, err := q.conn.NameList("")
	if code := (*textproto.Error)(nil); err != nil && !errors.As(err, &code) {
		return said("listing the queue", err)
	}
	q.names, q.asked = names, true
	return nil
}

func (q *ftpQueue) read(name string) (io.ReadCloser, error) {
	r, err := q.conn.Retr(name)
	if err != nil {
		return nil, said("reading "+name, err)
	}
	return r, nil
}

func (q *ftpQueue) write(name string, from io.Reader, at int64) error {
	q.asked = false
	return said("writing "+name, q.conn.StorFrom(name, from, uint64(at)))
}

func (q *ftpQueue) secure() bool { return q.tls }

func (q *ftpQueue) close() {
	done := make(chan struct{})
	go func() { defer close(done); _ = q.conn.Quit() }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
	}
	q.line.close()
}
