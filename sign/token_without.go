//go:build !cgo

package sign

import (
	"crypto"
	"io"

	"debusine"
)

// token stands in for keys in hardware, which need a C library.
type token struct{ crypto.Signer }

func openToken(string, string, []byte) (*token, error) {
	return nil, debusine.Invalid{What: "this program was built without PKCS#11", Hint: "build it with CGO_ENABLED=1 (make build does)"}
}

func (*token) close() {}

func (*token) Public() crypto.PublicKey { return nil }

func (*token) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }
