package sign

import (
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
)

func entityOf(t *testing.T, private []byte) *openpgp.Entity {
	t.Helper()
	entity, err := readEntity(private)
	if err != nil {
		t.Fatal(err)
	}
	return entity
}

func TestAClockThatIsOffByAYearShows(t *testing.T) {
	now := time.Now()
	_, private, err := generateOpenPGP(Ed25519, "Test", now, 300*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	certificate, _, err := generateUEFI(RSA2048, "Test", now, 300*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	x509, err := readX509(certificate)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		clock time.Time
		want  string
	}{
		"behind":  {now.AddDate(-1, 0, 0), "this machine's clock says"},
		"right":   {now.Add(time.Minute), ""},
		"forward": {now.AddDate(1, 0, 0), "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := signOpenPGP(entityOf(t, private), Clear, []byte("x\n"), c.clock)
			if (err != nil) != (c.want != "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("OpenPGP: %v, not about %q", err, c.want)
			}
			if err := validNow(x509, c.clock); (err != nil) != (c.want != "") {
				t.Errorf("UEFI: %v", err)
			}
		})
	}
}

func TestPKCS11AddressesAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"pkcs11:token=T;object=k":                 "",
		"pkcs11:serial=12;id=%01%FF":              "",
		"pkcs11:token=T;object=k?pin-value=1234":  "must not say a PIN",
		"pkcs11:token=T;object=k;pin-value=1234":  "means nothing",
		"pkcs11:token=T":                          "must say which token",
		"file:/etc/key":                           "begins with pkcs11:",
		"pkcs11:token=%zz;object=k":               "malformed",
		"pkcs11:token=T;object=k;module-path=/x":  "means nothing",
		"pkcs11:token=T;object=k;type=private":    "",
		"pkcs11:token=T;object=k;slot-id=3;":      "",
		"pkcs11:manufacturer=M;token=T;id=%01;x=": "means nothing",
	} {
		_, err := parseURI(text)
		if (err != nil) != (want != "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, not about %q", text, err, want)
		}
	}
	if u, err := parseURI("pkcs11:token=My%20Token;id=%01%FF"); err != nil || u.token != "My Token" || u.id != "01ff" {
		t.Errorf("%+v, %v", u, err)
	}
}
