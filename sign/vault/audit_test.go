package vault_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/eddsa"

	"debusine"
	"debusine/sign/vault"
)

// secretScalar digs the private number out of an exported key.
func secretScalar(t *testing.T, exported []byte) []byte {
	t.Helper()
	ring, err := openpgp.ReadKeyRing(strings.NewReader(string(exported)))
	if err != nil {
		t.Fatal(err)
	}
	key, ok := ring[0].PrivateKey.PrivateKey.(*eddsa.PrivateKey)
	if !ok || len(key.D) < 16 {
		t.Fatalf("%T", ring[0].PrivateKey.PrivateKey)
	}
	return key.D
}

// forms are the ways in which bytes appear in texts.
func forms(secret []byte) []string {
	out := []string{hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret))}
	for shift := range 3 { // base64 of a longer text that holds it, at any offset
		padded := append(make([]byte, shift), secret...)
		encoded := base64.RawStdEncoding.EncodeToString(padded)
		out = append(out, encoded[4:len(encoded)-4])
	}
	return out
}

// The trigger stops who makes a mistake; the chain shows who goes round it.
func TestTheAuditRefusesToBeChanged(t *testing.T) {
	w := newWorld(t)
	w.sign(w.key())
	for _, sql := range []string{
		`UPDATE audit SET entry = entry || ' '`, `DELETE FROM audit`, `TRUNCATE audit`,
	} {
		if _, err := w.db.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestDamageToTheAuditShows(t *testing.T) {
	rehash := `UPDATE audit SET hash = sha256(convert_to(entry, 'UTF8'))`
	for name, c := range map[string]struct{ sql, want string }{
		"a changed line":                        {`UPDATE audit SET entry = replace(entry, 'alice', 'mallory') WHERE seq = 2`, "entry 2 was changed"},
		"a changed line with a hash of its own": {`UPDATE audit SET entry = replace(entry, 'alice', 'mallory') WHERE seq = 2; ` + rehash, "entry 3 does not follow"},
		"a removed line":                        {`DELETE FROM audit WHERE seq = 2`, "entry 2 is missing"},
		"the first line removed":                {`DELETE FROM audit WHERE seq = 1`, "entry 1 is missing"},
		"removed and numbered anew":             {`DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3`, "entry 2 is missing"},
		"the last lines removed":                {`DELETE FROM audit WHERE seq > 3`, "it ends with entry 3"},
		"all removed":                           {`DELETE FROM audit`, "it ends with entry 0"},
		"the last line changed, with its hash":  {`UPDATE audit SET entry = replace(entry, 'alice', 'mallory') WHERE seq = 5; ` + rehash, "another than the one that was reported"},
		"a hash changed":                        {`UPDATE audit SET hash = sha256('x') WHERE seq = 4`, "entry 4 was changed"},
		"a line that cannot be read":            {`UPDATE audit SET entry = 'x' WHERE seq = 4; ` + rehash, "entry 4 cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			k := w.key()
			w.sign(k)
			w.sign(k)
			head, err := w.Head(t.Context())
			w.must(err)
			if _, _, err := w.events(head); err != nil {
				t.Fatalf("before: %v", err)
			}
			w.exec(`ALTER TABLE audit DISABLE TRIGGER ALL`)
			w.exec(c.sql)
			_, _, err = w.events(head)
			if !errors.As(err, new(debusine.Invalid)) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, not about %q", err, c.want)
			}
		})
	}
}

func TestHeadsThatCannotBeAreRefused(t *testing.T) {
	for _, text := range []string{"", "1", "1:xyz", "x:" + strings.Repeat("0", 64), "1:" + strings.Repeat("0", 63)} {
		if _, err := vault.ParseHead(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
