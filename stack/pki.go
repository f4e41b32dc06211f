package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"time"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	renewBefore     = 30 * 24 * time.Hour
)

// certificateNames are the files in pki/ (NAME.crt and NAME.key) and whether the
// holder is a server too: Temporal's services are both to one another.
func certificateNames() map[string]bool {
	return map[string]bool{"server": true, "client": false, "ui": false, "signing": false}
}

// pair is a certificate with its key, both parsed.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// certificates makes the authority and the certificates in pki/ that are missing,
// unreadable or have less than 30 days left. A new authority renews them all. The
// server is called localhost, and by the names that are given.
func (f folder) certificates(now time.Time, names ...string) error {
	authority, err := f.loadPair("ca")
	if err != nil || now.Add(renewBefore).After(authority.cert.NotAfter) {
		if _, err = f.makePair("ca", authorityTemplate(now), pair{}); err != nil {
			return err
		}
	}
	for name, serves := range certificateNames() {
		if err := f.certificate(name, serves, now, names); err != nil {
			return err
		}
	}
	return nil
}

// certificate makes one that is missing, not of the present authority, or soon
// without force.
func (f folder) certificate(name string, serves bool, now time.Time, names []string) error {
	authority, err := f.loadPair("ca")
	if err != nil {
		return err
	}
	have, err := f.loadPair(name)
	if err == nil && now.Add(renewBefore).Before(have.cert.NotAfter) && have.cert.CheckSignatureFrom(authority.cert) == nil && (!serves || answersTo(have.cert, names)) {
		return nil
	}
	_, err = f.makePair(name, certificateTemplate(name, serves, now, names), authority)
	return err
}

func answersTo(cert *x509.Certificate, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return cert.VerifyHostname(name) != nil })
}

func authorityTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Debusine standalone authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
}

func certificateTemplate(name string, serves bool, now time.Time, names []string) *x509.Certificate {
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "debusine " + name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if serves {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		t.DNSNames = []string{"localhost"}
		t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		for _, name := range names {
			if ip := net.ParseIP(name); ip != nil {
				t.IPAddresses = append(t.IPAddresses, ip)
			} else {
				t.DNSNames = append(t.DNSNames, name)
			}
		}
	}
	return t
}

// makePair signs the template with the authority, or with itself when that is
// empty, and writes the key before the certificate: a reader who finds a new
// certificate finds its key.
func (f folder) makePair(name string, template *x509.Certificate, authority pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("making the key %s: %w", name, err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return pair{}, fmt.Errorf("drawing a serial number: %w", err)
	}
	if authority.cert == nil {
		authority = pair{cert: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.cert, key.Public(), authority.key)
	if err != nil {
		return pair{}, fmt.Errorf("signing the certificate %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, fmt.Errorf("writing the key %s: %w", name, err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := writeFile(f.path("pki", name+".key"), keyPEM, 0o600); err != nil {
		return pair{}, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := writeFile(f.path("pki", name+".crt"), certPEM, 0o644); err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, fmt.Errorf("reading the certificate %s: %w", name, err)
	}
	return pair{cert: cert, key: key}, nil
}

func (f folder) loadPair(name string) (pair, error) {
	both, err := tls.LoadX509KeyPair(f.path("pki", name+".crt"), f.path("pki", name+".key"))
	if err != nil {
		return pair{}, fmt.Errorf("reading the certificate %s: %w", name, err)
	}
	key, ok := both.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return pair{}, fmt.Errorf("the key %s is not one of ours", name)
	}
	return pair{cert: both.Leaf, key: key}, nil
}

// clientTLS is what a client of Temporal's frontend needs: our certificate and
// the one authority that it believes.
func (f folder) clientTLS(name string) (*tls.Config, error) {
	both, err := tls.LoadX509KeyPair(f.path("pki", name+".crt"), f.path("pki", name+".key"))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate %s: %w", name, err)
	}
	authority, err := os.ReadFile(f.path("pki", "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("reading the authority: no certificate in pki/ca.crt")
	}
	return &tls.Config{
		Certificates: []tls.Certificate{both}, RootCAs: pool,
		ServerName: "localhost", MinVersion: tls.VersionTLS12,
	}, nil
}
