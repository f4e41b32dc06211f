package dput

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"debusine"
	"debusine/debian"
)

// Keyring is of whose signatures an upload is accepted. None, as nil, says
// nothing about who signed: then a signature must only be one.
type Keyring struct{ keys openpgp.EntityList }

// ReadKeyring reads OpenPGP certificates, armoured or not, of several files.
func ReadKeyring(files ...string) (*Keyring, error) {
	k := &Keyring{}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, debusine.Invalidf("reading a keyring: %v", err)
		}
		read := openpgp.ReadKeyRing
		if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
			read = openpgp.ReadArmoredKeyRing
		}
		keys, err := read(bytes.NewReader(raw))
		if err != nil || len(keys) == 0 {
			return nil, debusine.Invalidf("%s holds no OpenPGP certificates that can be read", name)
		}
		k.keys = append(k.keys, keys...)
	}
	return k, nil
}

// open gives the text of a control file and the fingerprints or key ids of who
// signed it: none, when it is not signed.
func (k *Keyring) open(raw []byte) (text []byte, signers []string, err error) {
	// The strict reader: no text before or after, nothing that is read in two ways.
	if text, err = debian.ReadClearsigned(bytes.NewReader(raw), longestControl); err != nil {
		return nil, nil, err
	}
	if bytes.Equal(text, raw) {
		return text, nil, nil
	}
	block, rest := clearsign.Decode(raw)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || block.ArmoredSignature.Type != openpgp.SignatureType {
		return nil, nil, errors.New("the signature cannot be read")
	}
	sealed, err := io.ReadAll(io.LimitReader(block.ArmoredSignature.Body, 1<<20))
	if err != nil {
		return nil, nil, fmt.Errorf("the signature's armour is damaged")
	}
	if signers, err = signersOf(sealed); err != nil || k == nil {
		return text, signers, err
	}
	by, err := openpgp.CheckDetachedSignature(k.keys, bytes.NewReader(block.Bytes), bytes.NewReader(sealed), nil)
	if err != nil || by == nil {
		return nil, nil, fmt.Errorf("the signature by %s is not good by the keyring: %v", strings.Join(signers, ", "), err)
	}
	return text, []string{strings.ToUpper(hex.EncodeToString(by.PrimaryKey.Fingerprint))}, nil
}

// signersOf reads the packets of a signature: signatures of documents alone, with
// digests that verifiers of today take.
func signersOf(sealed []byte) (signers []string, err error) {
	packets := packet.NewReader(bytes.NewReader(sealed))
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.New("the signature is not one of OpenPGP")
		}
		s, ok := p.(*packet.Signature)
		switch {
		case !ok || s.SigType != packet.SigTypeBinary && s.SigType != packet.SigTypeText:
			return nil, errors.New("what stands in place of the signature is none of a document")
		case !slices.Contains([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}, s.Hash):
			return nil, fmt.Errorf("the signature is made with %v, which no archive takes", s.Hash)
		}
		switch {
		case len(s.IssuerFingerprint) > 0:
			signers = append(signers, strings.ToUpper(hex.EncodeToString(s.IssuerFingerprint)))
		case s.IssuerKeyId != nil:
			signers = append(signers, fmt.Sprintf("%016X", *s.IssuerKeyId))
		default:
			signers = append(signers, "an unnamed key")
		}
	}
	if len(signers) == 0 {
		return nil, errors.New("there is no signature where one should be")
	}
	return signers, nil
}
