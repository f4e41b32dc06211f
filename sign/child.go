package sign

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"golang.org/x/sys/unix"

	"debusine"
)

// What a child can be asked to do.
const (
	doCheck    = "check"
	doGenerate = "generate"
	doImport   = "import"
	doRegister = "register"
	doReseal   = "reseal"
	doSign     = "sign"
	doRevoke   = "revoke"
)

// longestData is the longest text that is signed, in bytes.
const longestData = 16 << 20

// request is what a child reads from its standard input, whole.
type request struct {
	Do          string        `json:"do"`
	Purpose     Purpose       `json:"purpose,omitempty"`
	Algorithm   Algorithm     `json:"algorithm,omitempty"`
	Mode        Mode          `json:"mode,omitempty"`
	Name        string        `json:"name,omitempty"`
	Life        time.Duration `json:"life,omitempty"`
	Key         Protected     `json:"key,omitzero"`
	Public      []byte        `json:"public,omitempty"`
	Data        []byte        `json:"data,omitempty"`
	File        string        `json:"file,omitempty"`
	To          string        `json:"to,omitempty"`
	Compromised bool          `json:"compromised,omitempty"`
	ServiceKeys string        `json:"service_keys"`
	Module      string        `json:"module,omitempty"`
	PINFile     string        `json:"pin_file,omitempty"`
}

// response is what it writes to its standard output.
type response struct {
	Key         Protected `json:"key,omitzero"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	Public      []byte    `json:"public,omitempty"`
	Signature   []byte    `json:"signature,omitempty"`
	Fault       *trouble  `json:"fault,omitempty"`
}

// ChildMain is the whole life of a signing child: it reads a request, makes one
// key or one signature, answers, and gives the exit code.
func ChildMain(in io.Reader, out io.Writer) int {
	if err := lockDown(); err != nil {
		return 3
	}
	var r request
	raw, err := io.ReadAll(io.LimitReader(in, 4*longestData))
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return 2
	}
	answer, err := r.do(time.Now())
	if err != nil {
		answer = response{Fault: troubleOf(err)}
	}
	if json.NewEncoder(out).Encode(answer) != nil {
		return 2
	}
	return 0
}

// lockDown leaves the child with less than its parent has: no core dump, nobody
// who attaches to it, no way to gain rights, ten minutes of the processor.
func lockDown() error {
	return errors.Join(
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}),
		unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: 600, Max: 600}),
		unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 30, Max: 1 << 30}),
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
	)
}

func (r request) do(now time.Time) (response, error) {
	switch r.Do {
	case doCheck:
		_, err := readServiceKeys(r.ServiceKeys)
		return response{}, err
	case doGenerate:
		return r.generate(now)
	case doImport:
		return r.importKey(now)
	case doRegister:
		return r.register(now)
	case doReseal:
		return r.reseal()
	case doSign:
		return r.sign(now)
	case doRevoke:
		return r.revoke(now)
	}
	return response{}, debusine.Invalidf("the signing child knows no %.40q", r.Do)
}

func (r request) generate(now time.Time) (response, error) {
	algorithm, err := ParseAlgorithm(string(r.Algorithm), r.Purpose)
	if err != nil {
		return response{}, err
	}
	var public, private []byte
	if r.Purpose.isOpenPGP() {
		public, private, err = generateOpenPGP(algorithm, r.Name, now, r.Life)
	} else {
		public, private, err = generateUEFI(algorithm, r.Name, now, r.Life)
	}
	if err != nil {
		return response{}, err
	}
	return r.protect(public, private)
}

func (r request) importKey(now time.Time) (response, error) {
	raw, err := readSecret(r.File, "the key")
	if err != nil {
		return response{}, err
	}
	take := importUEFI
	if r.Purpose.isOpenPGP() {
		take = importOpenPGP
	}
	public, private, err := take(raw, now)
	if err != nil {
		return response{}, err
	}
	return r.protect(public, private)
}

// protect seals a private key and names the public one.
func (r request) protect(public, private []byte) (answer response, err error) {
	keys, err := readServiceKeys(r.ServiceKeys)
	if err != nil {
		return answer, err
	}
	if answer.Key, err = keys.seal(private); err != nil {
		return answer, err
	}
	answer.Public = public
	answer.Fingerprint, err = r.Purpose.fingerprint(public)
	return answer, err
}

func (p Purpose) fingerprint(public []byte) (string, error) {
	if !p.isOpenPGP() {
		return fingerprintUEFI(public)
	}
	c, err := ReadCertificate(public)
	return c.Fingerprint, err
}

func (r request) register(now time.Time) (answer response, err error) {
	t, err := r.token()
	if err != nil {
		return answer, err
	}
	defer t.close()
	if r.Purpose.isOpenPGP() {
		answer.Public, err = certifyHardware(t, r.Name, now, r.Life)
	} else {
		answer.Public, err = certifyUEFI(t, r.Name, now, r.Life)
	}
	if err != nil {
		return answer, err
	}
	answer.Key = r.Key
	answer.Fingerprint, err = r.Purpose.fingerprint(answer.Public)
	return answer, err
}

func (r request) token() (*token, error) {
	pin, err := readSecret(r.PINFile, "the token's PIN")
	if err != nil {
		return nil, err
	}
	return openToken(r.Module, r.Key.URI, []byte(strings.TrimRight(string(pin), "\r\n")))
}

func (r request) reseal() (answer response, err error) {
	answer.Key = r.Key
	if r.Key.Storage != NaCl {
		return answer, nil
	}
	keys, err := readServiceKeys(r.ServiceKeys)
	if err != nil {
		return answer, err
	}
	private, err := keys.open(r.Key)
	if err != nil {
		return answer, err
	}
	answer.Key, err = keys.seal(private)
	return answer, err
}

func (r request) sign(now time.Time) (answer response, err error) {
	if !r.Purpose.isOpenPGP() {
		return answer, r.signUEFI(now)
	}
	entity, done, err := r.entity()
	if err != nil {
		return answer, err
	}
	defer done()
	return r.openPGP(entity, now)
}

// openPGP signs the data, or the file where there is one.
func (r request) openPGP(entity *openpgp.Entity, now time.Time) (answer response, err error) {
	if r.File != "" {
		return answer, signFile(entity, r.Mode, r.File, r.To, now)
	}
	answer.Signature, err = signOpenPGP(entity, r.Mode, r.Data, now)
	return answer, err
}

// private is the plain key. It lives until this process ends.
func (r request) private() ([]byte, error) {
	if r.Key.Storage != NaCl {
		return nil, debusine.Invalidf("a key is kept as %.40q, which is unknown here", r.Key.Storage)
	}
	keys, err := readServiceKeys(r.ServiceKeys)
	if err != nil {
		return nil, err
	}
	return keys.open(r.Key)
}

// trouble is an error on its way from a child to its parent.
type trouble struct {
	Kind string `json:"kind"`
	What string `json:"what"`
	Hint string `json:"hint,omitempty"`
}

func troubleOf(err error) *trouble {
	var (
		missing  debusine.Missing
		invalid  debusine.Invalid
		conflict debusine.Conflict
	)
	switch {
	case errors.As(err, &missing):
		return &trouble{"missing", missing.What, missing.Hint}
	case errors.As(err, &invalid):
		return &trouble{"invalid", invalid.What, invalid.Hint}
	case errors.As(err, &conflict):
		return &trouble{"conflict", conflict.What, conflict.Hint}
	case errors.As(err, new(WrongPIN)):
		return &trouble{Kind: "wrong-pin"}
	}
	return &trouble{Kind: "error", What: err.Error()}
}

func (t *trouble) err() error {
	if t == nil {
		return nil
	}
	switch t.Kind {
	case "missing":
		return debusine.Missing{What: t.What, Hint: t.Hint}
	case "invalid":
		return debusine.Invalid{What: t.What, Hint: t.Hint}
	case "conflict":
		return debusine.Conflict{What: t.What, Hint: t.Hint}
	case "wrong-pin":
		return WrongPIN{}
	}
	return fmt.Errorf("in the signing child: %s", t.What)
}

var _ crypto.Signer = (*token)(nil)
