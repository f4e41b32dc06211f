package sign

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"debusine"
)

// uefiLife is how long a Secure Boot certificate is valid; firmware looks at no
// clock, tools do.
const uefiLife = 15 * 365 * 24 * time.Hour

// generateUEFI makes an RSA key and its self-signed certificate, both PEM.
func generateUEFI(a Algorithm, name string, now time.Time, life time.Duration) (certificate, private []byte, err error) {
	bits := 2048
	if a == RSA4096 {
		bits = 4096
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, nil, fmt.Errorf("making an RSA key: %w", err)
	}
	if certificate, err = certifyUEFI(key, name, now, life); err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("writing an RSA key: %w", err)
	}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// certifyUEFI makes the self-signed certificate of a key, PEM.
func certifyUEFI(key crypto.Signer, name string, now time.Time, life time.Duration) ([]byte, error) {
	if _, ok := key.Public().(*rsa.PublicKey); !ok {
		return nil, debusine.Invalidf("the key is not RSA, the only kind that firmware takes")
	}
	if life <= 0 {
		life = uefiLife
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	if name = plain(name); name == "" {
		name = "Debusine Secure Boot"
	}
	subject := pkix.Name{CommonName: name}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true, SignatureAlgorithm: x509.SHA256WithRSA,
	}, &x509.Certificate{Subject: subject}, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// importUEFI takes a private key and its certificate, both PEM in one text.
func importUEFI(raw []byte, now time.Time) (certificate, private []byte, err error) {
	var key crypto.Signer
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			certificate = pem.EncodeToMemory(block)
		case "PRIVATE KEY":
			parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, nil, debusine.Invalidf("the private key cannot be read")
			}
			key, _ = parsed.(crypto.Signer)
			private = pem.EncodeToMemory(block)
		}
	}
	if certificate == nil || key == nil {
		return nil, nil, debusine.Invalid{What: "there must be a PRIVATE KEY and a CERTIFICATE, both PEM", Hint: "cat key.pem cert.pem; openssl pkcs8 -topk8 -nocrypt writes the key so"}
	}
	parsed, err := readX509(certificate)
	if err != nil {
		return nil, nil, err
	}
	held, ok := key.Public().(*rsa.PublicKey)
	if !ok || !held.Equal(parsed.PublicKey) || held.N.BitLen() < 2048 {
		return nil, nil, debusine.Invalidf("the key must be RSA of 2048 bits or more, and the certificate its own")
	}
	return certificate, private, validNow(parsed, now)
}

func readX509(certificate []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return nil, debusine.Invalidf("the certificate is not PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, debusine.Invalidf("the certificate cannot be read: %v", err)
	}
	return parsed, nil
}

// validNow refuses a certificate that tools would call expired or not yet valid.
func validNow(c *x509.Certificate, now time.Time) error {
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return debusine.Conflict{What: fmt.Sprintf("the certificate is valid from %s to %s, but this machine's clock says %s",
			c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly), now.UTC().Format(time.DateTime)),
			Hint: "make a new key, or set the clock"}
	}
	return nil
}

func fingerprintUEFI(certificate []byte) (string, error) {
	parsed, err := readX509(certificate)
	if err != nil {
		return "", err
	}
	return strings.ToUpper(fmt.Sprintf("%x", sha256.Sum256(parsed.Raw))), nil
}
