//go:build cgo

package sign

import (
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/miekg/pkcs11"

	"debusine"
)

// token is a session with a key in hardware. It is a crypto.Signer.
type token struct {
	module  *pkcs11.Ctx
	session pkcs11.SessionHandle
	key     pkcs11.ObjectHandle
	public  *rsa.PublicKey
}

// openToken logs in and finds the key. A PIN is tried once, and not at all when
// the token says that it was wrong the last time: a token counts wrong PINs and
// locks itself, and a service that tries again would lock it.
func openToken(module, uri string, pin []byte) (*token, error) {
	where, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	if module == "" {
		return nil, debusine.Invalid{What: "the key is in hardware, and no PKCS#11 module was named", Hint: "debusine signing --pkcs11-module FILE"}
	}
	t := &token{module: pkcs11.New(module)}
	if t.module == nil {
		return nil, debusine.Invalidf("the PKCS#11 module %s cannot be loaded", module)
	}
	if err := t.module.Initialize(); err != nil {
		t.module.Destroy()
		return nil, fmt.Errorf("starting the PKCS#11 module: %w", err)
	}
	if err := t.find(where, pin); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *token) close() {
	// The child ends soon: what cannot be closed goes with it.
	_ = t.module.Finalize()
	t.module.Destroy()
}

func (t *token) find(where tokenURI, pin []byte) error {
	slot, err := t.slot(where)
	if err != nil {
		return err
	}
	if t.session, err = t.module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION); err != nil {
		return fmt.Errorf("opening a session with the token: %w", err)
	}
	if err := t.login(slot, pin); err != nil {
		return err
	}
	if t.key, err = t.object(where, pkcs11.CKO_PRIVATE_KEY); err != nil {
		return err
	}
	return t.readPublic()
}

func (t *token) slot(where tokenURI) (uint, error) {
	slots, err := t.module.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("listing the tokens: %w", err)
	}
	for _, slot := range slots {
		info, err := t.module.GetTokenInfo(slot)
		if err != nil {
			continue // an empty or broken reader beside ours
		}
		if (where.token == "" || where.token == strings.TrimSpace(info.Label)) && (where.serial == "" || where.serial == strings.TrimSpace(info.SerialNumber)) {
			return slot, nil
		}
	}
	return 0, debusine.Missing{What: fmt.Sprintf("token %.80q", where.token+where.serial), Hint: "is it plugged in? pkcs11-tool --list-slots"}
}

func (t *token) login(slot uint, pin []byte) error {
	info, err := t.module.GetTokenInfo(slot)
	if err != nil {
		return fmt.Errorf("asking the token for its state: %w", err)
	}
	if info.Flags&(pkcs11.CKF_USER_PIN_COUNT_LOW|pkcs11.CKF_USER_PIN_FINAL_TRY|pkcs11.CKF_USER_PIN_LOCKED) != 0 {
		return debusine.Conflict{What: "the token has seen a wrong PIN, so none is tried", Hint: "log in by hand once with the right one, which clears the count: pkcs11-tool --login --test"}
	}
	err = t.module.Login(t.session, pkcs11.CKU_USER, string(pin))
	switch code := pkcs11.Error(0); {
	case err == nil:
		return nil
	case errors.As(err, &code) && (code == pkcs11.CKR_PIN_INCORRECT || code == pkcs11.CKR_PIN_LEN_RANGE || code == pkcs11.CKR_PIN_INVALID || code == pkcs11.CKR_PIN_LOCKED):
		return WrongPIN{}
	}
	return fmt.Errorf("logging in to the token: %w", err)
}

func (t *token) object(where tokenURI, class uint) (pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA)}
	if where.object != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, where.object))
	}
	if id, err := hex.DecodeString(where.id); err == nil && len(id) > 0 {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, id))
	}
	if err := t.module.FindObjectsInit(t.session, template); err != nil {
		return 0, fmt.Errorf("looking for the key: %w", err)
	}
	found, _, err := t.module.FindObjects(t.session, 2)
	if err := errors.Join(err, t.module.FindObjectsFinal(t.session)); err != nil {
		return 0, fmt.Errorf("looking for the key: %w", err)
	}
	if len(found) != 1 {
		return 0, debusine.Invalid{What: fmt.Sprintf("the token holds %d RSA keys of that name, one is needed", len(found)), Hint: "say object= and id= (pkcs11-tool --login --list-objects)"}
	}
	return found[0], nil
}

// readPublic reads the public half, which private RSA keys hold too.
func (t *token) readPublic() error {
	values, err := t.module.GetAttributeValue(t.session, t.key, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_MODULUS, nil), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, nil)})
	if err != nil || len(values) != 2 {
		return fmt.Errorf("reading the key's public half: %w", err)
	}
	e := new(big.Int).SetBytes(values[1].Value)
	if !e.IsInt64() || e.Int64() > 1<<31-1 {
		return debusine.Invalidf("the key's exponent is too large")
	}
	t.public = &rsa.PublicKey{N: new(big.Int).SetBytes(values[0].Value), E: int(e.Int64())}
	return nil
}

// Public is the key's public half.
func (t *token) Public() crypto.PublicKey { return t.public }

// Sign signs a digest with PKCS#1 v1.5, and looks at what came before it is given
// out: a token that computes wrongly could give the key away.
func (t *token) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	prefix, ok := digestInfo(opts.HashFunc())
	if !ok || len(digest) != opts.HashFunc().Size() {
		return nil, debusine.Invalidf("the token signs SHA-256, SHA-384 and SHA-512 alone")
	}
	if err := t.module.SignInit(t.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil)}, t.key); err != nil {
		return nil, fmt.Errorf("signing in the token: %w", err)
	}
	signature, err := t.module.Sign(t.session, append(prefix, digest...))
	if err != nil {
		return nil, fmt.Errorf("signing in the token: %w", err)
	}
	if err := rsa.VerifyPKCS1v15(t.public, opts.HashFunc(), digest, signature); err != nil {
		return nil, fmt.Errorf("the token's signature does not verify: %w", err)
	}
	return signature, nil
}

// digestInfo is what stands before a digest in PKCS#1 v1.5: RFC 8017, 9.2.
func digestInfo(h crypto.Hash) ([]byte, bool) {
	number, ok := map[crypto.Hash]byte{crypto.SHA256: 1, crypto.SHA384: 2, crypto.SHA512: 3}[h]
	size := byte(h.Size())
	return []byte{0x30, 17 + size, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, number, 0x05, 0x00, 0x04, size}, ok
}
