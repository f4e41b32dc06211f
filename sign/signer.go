package sign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"debusine"
)

// Signer makes keys and signatures, each in a child of its own. What it holds
// are names of files; it reads none of them.
type Signer struct {
	ServiceKeys string   // the file of service keys
	Module      string   // the PKCS#11 library; empty: no keys in hardware
	PINFile     string   // the token's PIN
	Child       []string // the command of a child: a program that calls ChildMain; empty: this program with ChildCommand
}

// ChildCommand is the hidden command of this program that calls ChildMain.
const ChildCommand = "signing-child"

// Key is a key as it is kept: nothing in it needs to be secret.
type Key struct {
	Purpose     Purpose
	Fingerprint string // upper-case hexadecimal: of OpenPGP 40 digits, of UEFI the certificate's SHA-256
	Public      []byte // an OpenPGP certificate, or an X.509 one as PEM
	Private     Protected
}

// Wanted describes a key to be made.
type Wanted struct {
	Purpose   Purpose
	Algorithm Algorithm     // empty: the usual one
	Name      string        // of OpenPGP the user id: Debian Archive <ftpmaster@example.org>; of UEFI the common name
	Life      time.Duration // zero: OpenPGP keys do not expire, UEFI certificates hold 15 years
}

// WrongPIN says that a token refused its PIN. It must not be tried again.
type WrongPIN struct{}

func (WrongPIN) Error() string {
	return "the token refused its PIN, and it is not tried again until the PIN's file changes"
}

// Generate makes a key that lies encrypted to the newest service key.
func (s Signer) Generate(ctx context.Context, w Wanted) (Key, error) {
	return s.key(ctx, request{Do: doGenerate, Purpose: w.Purpose, Algorithm: w.Algorithm, Name: w.Name, Life: w.Life})
}

// Import takes the key in a file that its owner alone can read.
func (s Signer) Import(ctx context.Context, p Purpose, path string) (Key, error) {
	return s.key(ctx, request{Do: doImport, Purpose: p, File: path})
}

// Register takes a key that is in a token at an RFC 7512 URI, and has the token
// certify it.
func (s Signer) Register(ctx context.Context, w Wanted, uri string) (Key, error) {
	return s.key(ctx, request{Do: doRegister, Purpose: w.Purpose, Name: w.Name, Life: w.Life, Key: Protected{Storage: PKCS11, URI: uri}})
}

// Reseal encrypts a key to the newest service key.
func (s Signer) Reseal(ctx context.Context, key Protected) (Protected, error) {
	answer, err := s.run(ctx, request{Do: doReseal, Key: key})
	return answer.Key, err
}

// Check says whether the service keys can be read, without touching a key.
func (s Signer) Check(ctx context.Context) error {
	_, err := s.run(ctx, request{Do: doCheck})
	return err
}

// SignOpenPGP signs data, which may measure 16 MiB, and gives the clear-signed
// text or the armoured detached signature.
func (s Signer) SignOpenPGP(ctx context.Context, key Key, mode Mode, data []byte) ([]byte, error) {
	if len(data) > longestData {
		return nil, debusine.Invalidf("a text of %d bytes is too long to be signed: %d are allowed", len(data), longestData)
	}
	answer, err := s.run(ctx, request{Do: doSign, Purpose: key.Purpose, Key: key.Private, Public: key.Public, Mode: mode, Data: data})
	return answer.Signature, err
}

// SignFile signs one file and writes another, in a folder that nobody else writes
// to: for UEFI the signed PE executable (Attached) or the signature alone
// (Detached), for OpenPGP the armoured signature (Detached).
func (s Signer) SignFile(ctx context.Context, key Key, mode Mode, from, to string) error {
	_, err := s.run(ctx, request{Do: doSign, Purpose: key.Purpose, Key: key.Private, Public: key.Public, Mode: mode, File: from, To: to})
	return err
}

func (s Signer) key(ctx context.Context, r request) (Key, error) {
	answer, err := s.run(ctx, r)
	return Key{Purpose: r.Purpose, Fingerprint: answer.Fingerprint, Public: answer.Public, Private: answer.Key}, err
}

// childLimit is the longest that a child may take: tokens are slow.
const childLimit = 2 * time.Minute

// run starts a child, hands it the request and reads its answer. What a child
// writes beside it goes nowhere: the runtime's last words could show memory.
func (s Signer) run(ctx context.Context, r request) (answer response, err error) {
	r.ServiceKeys, r.Module, r.PINFile = s.ServiceKeys, s.Module, s.PINFile
	input, err := json.Marshal(r)
	if err != nil {
		return answer, fmt.Errorf("writing a request for the signing child: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	command := s.Child
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return answer, fmt.Errorf("finding this program: %w", err)
		}
		command = []string{self, ChildCommand}
	}
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	child.Env, child.Dir = childEnvironment(), "/"
	child.Stdin = bytes.NewReader(input)
	var out bounded
	child.Stdout = &out
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	child.Cancel = func() error { return syscall.Kill(-child.Process.Pid, syscall.SIGKILL) }
	child.WaitDelay = time.Second
	if err := child.Run(); err != nil {
		return answer, errors.Join(ctx.Err(), fmt.Errorf("the signing child ended without an answer: %w", err))
	}
	if json.Unmarshal(out.Bytes(), &answer) != nil {
		return answer, errors.New("the signing child's answer cannot be read")
	}
	return answer, answer.Fault.err()
}

// childEnvironment is nothing but what finds programs, and a token's own
// configuration, which holds no secret.
func childEnvironment() []string {
	environment := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOTRACEBACK=none"}
	if path := os.Getenv("SOFTHSM2_CONF"); path != "" {
		environment = append(environment, "SOFTHSM2_CONF="+path)
	}
	return environment
}

// bounded keeps what a child answers, up to twice the longest text in base64.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > 4*longestData {
		return 0, io.ErrShortWrite
	}
	return b.Buffer.Write(p)
}
