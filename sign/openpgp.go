package sign

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/sys/unix"

	"debusine"
)

// Mode is the shape of a signature.
type Mode string

// The modes: around a text (.dsc, InRelease), beside it (Release.gpg), or within
// an executable.
const (
	Clear    Mode = "clear"    // OpenPGP
	Detached Mode = "detached" // OpenPGP, armoured, and UEFI
	Attached Mode = "attached" // UEFI
)

// apt, gpgv and sqv of 2026 refuse SHA-1 and RSA keys below 2048 bits. Keys that
// are brought here shall last longer.
const leastRSA = 3072

// config is what keys and signatures are made with. Version 4 keys and the
// EdDSA of GnuPG: what all of Debian's verifiers know.
func config(a Algorithm, now time.Time, life time.Duration) *packet.Config {
	c := &packet.Config{DefaultHash: crypto.SHA512, Time: func() time.Time { return now }, KeyLifetimeSecs: uint32(life / time.Second)}
	c.Algorithm = packet.PubKeyAlgoEdDSA
	if a == RSA4096 {
		c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, 4096
	}
	return c
}

// generateOpenPGP makes a key that signs and does nothing else.
func generateOpenPGP(a Algorithm, user string, now time.Time, life time.Duration) (public, private []byte, err error) {
	name, email := userID(user)
	entity, err := openpgp.NewEntity(name, "", email, config(a, now, life))
	if err != nil {
		return nil, nil, fmt.Errorf("making an OpenPGP key: %w", err)
	}
	entity.Subkeys = nil // it decrypts nothing
	return serialize(entity, config(a, now, life))
}

// userID splits Name <address>, without what an OpenPGP user id cannot hold.
func userID(text string) (name, email string) {
	name, email, _ = strings.Cut(text, "<")
	if name = plain(name); name == "" {
		name = "Debusine signing key"
	}
	return name, strings.ReplaceAll(plain(email), " ", "")
}

func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune("()<>\x7f", r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

func serialize(entity *openpgp.Entity, c *packet.Config) (public, private []byte, err error) {
	var secret, open bytes.Buffer
	// This signs the key's own statements anew, with SHA-512.
	if err := entity.SerializePrivate(&secret, c); err != nil {
		return nil, nil, fmt.Errorf("writing an OpenPGP key: %w", err)
	}
	if err := entity.Serialize(&open); err != nil {
		return nil, nil, fmt.Errorf("writing an OpenPGP certificate: %w", err)
	}
	return open.Bytes(), secret.Bytes(), nil
}

// importOpenPGP takes an exported secret key, armoured or not, without a
// passphrase. Its certificate is kept as it is: others know it.
func importOpenPGP(raw []byte, now time.Time) (public, private []byte, err error) {
	entity, err := readEntity(raw)
	if err != nil {
		return nil, nil, err
	}
	if entity.PrivateKey == nil {
		return nil, nil, debusine.Invalid{What: "this is a certificate without its private key", Hint: "gpg --export-secret-keys FINGERPRINT"}
	}
	if entity.PrivateKey.Encrypted {
		return nil, nil, debusine.Invalid{What: "the key has a passphrase", Hint: "take it off (gpg --edit-key, passwd) before gpg --export-secret-keys; at rest it is encrypted to the service key"}
	}
	if entity.PrivateKey.Dummy() {
		return nil, nil, debusine.Invalid{What: "the primary key's private half is missing (gnu-dummy)", Hint: "export it on the machine that has it"}
	}
	if err := acceptable(entity, now); err != nil {
		return nil, nil, err
	}
	entity.Subkeys = nil // the primary key is the one that signs
	var secret, open bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&secret, nil); err != nil {
		return nil, nil, fmt.Errorf("writing an OpenPGP key: %w", err)
	}
	if err := entity.Serialize(&open); err != nil {
		return nil, nil, fmt.Errorf("writing an OpenPGP certificate: %w", err)
	}
	return open.Bytes(), secret.Bytes(), nil
}

func readEntity(raw []byte) (*openpgp.Entity, error) {
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN")) {
		read = openpgp.ReadArmoredKeyRing
	}
	ring, err := read(bytes.NewReader(raw))
	if err != nil || len(ring) != 1 {
		// The parser's words may quote what it read.
		return nil, debusine.Invalidf("this is not exactly one OpenPGP key (%d were found)", len(ring))
	}
	return ring[0], nil
}

// acceptable refuses what a verifier of today would.
func acceptable(entity *openpgp.Entity, now time.Time) error {
	switch key := entity.PrimaryKey; key.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := key.BitLength(); err != nil || bits < leastRSA {
			return debusine.Invalidf("the key has %d bits of RSA; %d are the least", bits, leastRSA)
		}
	case packet.PubKeyAlgoECDSA:
		// apt refuses the Brainpool curves from 2028 on, gpgv's policies others today.
		if curve, err := key.Curve(); err != nil || !slices.Contains([]packet.Curve{packet.CurveNistP256, packet.CurveNistP384, packet.CurveNistP521}, curve) {
			return debusine.Invalidf("the key's curve (%s) is none that apt will go on accepting: use Ed25519, RSA, or ECDSA over P-256, P-384 or P-521", curve)
		}
	case packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519:
	default:
		return debusine.Invalidf("the key's algorithm (number %d) is none that apt accepts: use Ed25519, RSA or ECDSA", key.PubKeyAlgo)
	}
	identity := entity.PrimaryIdentity()
	if identity == nil || identity.SelfSignature == nil {
		return debusine.Invalidf("the key has no user id that it has signed")
	}
	if h := identity.SelfSignature.Hash; h != crypto.SHA256 && h != crypto.SHA384 && h != crypto.SHA512 {
		return debusine.Invalid{What: fmt.Sprintf("the key is bound to its user id with %v, which apt refuses", h),
			Hint: "sign the user id again: gpg --cert-digest-algo SHA512 --expert --sign-key"}
	}
	if s := identity.SelfSignature; s.FlagsValid && !s.FlagSign {
		return debusine.Invalid{What: "the primary key may only certify; its subkeys sign", Hint: "use a key whose primary key signs, or make one here"}
	}
	return usable(entity, now)
}

// usable refuses a key that a verifier would call expired, revoked or not yet
// made. A clock that is off shows here too.
func usable(entity *openpgp.Entity, now time.Time) error {
	key := entity.PrimaryKey
	if key.CreationTime.After(now.Add(time.Minute)) {
		return debusine.Conflict{What: fmt.Sprintf("key %X was made on %s, but this machine's clock says %s", key.Fingerprint,
			key.CreationTime.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime)), Hint: "set the clock (timedatectl)"}
	}
	if entity.Revoked(now) {
		return debusine.Conflict{What: fmt.Sprintf("key %X is revoked", key.Fingerprint)}
	}
	identity := entity.PrimaryIdentity()
	if identity == nil {
		return debusine.Invalidf("key %X has no user id", key.Fingerprint)
	}
	if key.KeyExpired(identity.SelfSignature, now) {
		return debusine.Conflict{What: fmt.Sprintf("key %X has expired", key.Fingerprint), Hint: "make a new one (debusine admin key generate), or check this machine's clock: " + now.UTC().Format(time.DateTime)}
	}
	return nil
}

// Certificate is what is public about an OpenPGP key.
type Certificate struct {
	Fingerprint string // 40 upper-case hexadecimal digits
	UserID      string
	Created     time.Time
	Expires     time.Time // zero: never
}

// ReadCertificate reads an OpenPGP certificate, armoured or not.
func ReadCertificate(raw []byte) (Certificate, error) {
	entity, err := readEntity(raw)
	if err != nil {
		return Certificate{}, err
	}
	c := Certificate{Fingerprint: fingerprint(entity), Created: entity.PrimaryKey.CreationTime.UTC()}
	if identity := entity.PrimaryIdentity(); identity != nil {
		c.UserID = identity.Name
		if life := identity.SelfSignature.KeyLifetimeSecs; life != nil && *life > 0 {
			c.Expires = c.Created.Add(time.Duration(*life) * time.Second)
		}
	}
	return c, nil
}

func fingerprint(entity *openpgp.Entity) string {
	return strings.ToUpper(hex.EncodeToString(entity.PrimaryKey.Fingerprint))
}

// signOpenPGP writes one signature over data.
func signOpenPGP(entity *openpgp.Entity, mode Mode, data []byte, now time.Time) ([]byte, error) {
	if err := usable(entity, now); err != nil {
		return nil, err
	}
	c := config(Ed25519, now, 0)
	var out bytes.Buffer
	var err error
	switch mode {
	case Detached:
		err = openpgp.ArmoredDetachSign(&out, entity, bytes.NewReader(data), c)
		out.WriteByte('\n')
	case Clear:
		err = clearSign(&out, entity, data, c)
	default:
		return nil, debusine.Invalidf("mode must be clear or detached, not %.40q", mode)
	}
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return out.Bytes(), nil
}

// signFile writes the detached signature of a file of any size beside it.
func signFile(entity *openpgp.Entity, mode Mode, from, to string, now time.Time) error {
	if mode != Detached {
		return debusine.Invalidf("the signature of a file is detached, not %.40q", mode)
	}
	if err := usable(entity, now); err != nil {
		return err
	}
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("reading what is to be signed: %w", err)
	}
	defer in.Close()
	var out bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&out, entity, in, config(Ed25519, now, 0)); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	out.WriteByte('\n')
	if err := os.WriteFile(to, out.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing a signature: %w", err)
	}
	return nil
}

// clearSign writes text and signature, the latter with a checksum: GnuPG 2.2,
// and so gpgv of Debian 12, refuses armour without.
func clearSign(out *bytes.Buffer, entity *openpgp.Entity, text []byte, c *packet.Config) error {
	var bare bytes.Buffer
	w, err := clearsign.Encode(&bare, entity.PrivateKey, c)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	start := bytes.LastIndex(bare.Bytes(), []byte("-----BEGIN PGP SIGNATURE-----"))
	if start < 0 {
		return errors.New("there is no signature in what was signed")
	}
	block, err := armor.Decode(bytes.NewReader(bare.Bytes()[start:]))
	if err != nil {
		return err
	}
	out.Write(bare.Bytes()[:start])
	armoured, err := armor.EncodeWithChecksumOption(out, block.Type, nil, true)
	if err != nil {
		return err
	}
	if _, err := io.Copy(armoured, block.Body); err != nil {
		return err
	}
	if err := armoured.Close(); err != nil {
		return err
	}
	return out.WriteByte('\n')
}

// hardwareEntity joins a certificate with the token that holds its private half.
func hardwareEntity(public []byte, signer crypto.Signer) (*openpgp.Entity, error) {
	entity, err := readEntity(public)
	if err != nil {
		return nil, err
	}
	private := &packet.PrivateKey{PublicKey: *entity.PrimaryKey, PrivateKey: signer}
	held, ok := signer.Public().(*rsa.PublicKey)
	known, isRSA := entity.PrimaryKey.PublicKey.(*rsa.PublicKey)
	if !ok || !isRSA || !held.Equal(known) {
		return nil, debusine.Conflictf("the token holds another key than %s", fingerprint(entity))
	}
	entity.PrivateKey = private
	return entity, nil
}

// certifyHardware makes the OpenPGP certificate of an RSA key in a token.
func certifyHardware(signer crypto.Signer, user string, now time.Time, life time.Duration) (public []byte, err error) {
	held, ok := signer.Public().(*rsa.PublicKey)
	if !ok {
		return nil, debusine.Invalidf("the token's key is not RSA, the only kind that signs OpenPGP from a token")
	}
	if bits := held.N.BitLen(); bits < leastRSA {
		return nil, debusine.Invalidf("the token's key has %d bits of RSA; %d are the least for OpenPGP", bits, leastRSA)
	}
	// OpenPGP counts time in seconds, and the fingerprint holds it.
	now = now.Truncate(time.Second)
	primary := packet.NewRSAPublicKey(now, held)
	entity := &openpgp.Entity{PrimaryKey: primary, PrivateKey: &packet.PrivateKey{PublicKey: *primary, PrivateKey: signer}, Identities: map[string]*openpgp.Identity{}}
	name, email := userID(user)
	if err := entity.AddUserId(name, "", email, config(RSA4096, now, life)); err != nil {
		return nil, fmt.Errorf("certifying the token's key: %w", err)
	}
	var out bytes.Buffer
	if err := entity.Serialize(&out); err != nil {
		return nil, fmt.Errorf("writing an OpenPGP certificate: %w", err)
	}
	return out.Bytes(), nil
}

// Armour writes an OpenPGP certificate as text.
func Armour(certificate []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := armor.EncodeWithChecksumOption(&out, openpgp.PublicKeyType, nil, true)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(certificate); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return append(out.Bytes(), '\n'), nil
}

// Public reads a certificate of a purpose, OpenPGP (armoured or not) or X.509
// (PEM), and gives its fingerprint and the form in which keys keep it. A private
// key is refused: it has no place where certificates go.
func Public(p Purpose, raw []byte) (fingerprint string, public []byte, err error) {
	if !p.isOpenPGP() {
		c, err := readX509(raw)
		if err != nil {
			return "", nil, err
		}
		public = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		fingerprint, err = fingerprintUEFI(public)
		return fingerprint, public, err
	}
	entity, err := readEntity(raw)
	if err != nil {
		return "", nil, err
	}
	if entity.PrivateKey != nil {
		return "", nil, debusine.Invalid{What: "this is a private key, not a certificate", Hint: "gpg --export, or debusine admin key show"}
	}
	var out bytes.Buffer
	if err := entity.Serialize(&out); err != nil {
		return "", nil, fmt.Errorf("writing an OpenPGP certificate: %w", err)
	}
	c, err := ReadCertificate(out.Bytes())
	return c.Fingerprint, out.Bytes(), err
}
