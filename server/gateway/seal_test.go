package gateway

import (
	"bytes"
	"reflect"
	"testing"

	"debusine/store"
)

func TestASealedTokenOpensWhereItWasSealed(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	s, err := NewSealer(key, "here")
	if err != nil {
		t.Fatal(err)
	}
	d := store.Delivery{WorkRequest: 12, Worker: 1 << 40, Attempt: 3, TaskToken: []byte("temporal's own")}
	sealed := s.Seal(d)
	if got, err := s.Open(sealed); err != nil || !reflect.DeepEqual(got, d) {
		t.Fatalf("%+v, %v", got, err)
	}
	if bytes.Contains(sealed, d.TaskToken) {
		t.Error("Temporal's token can be read")
	}
	if bytes.Equal(sealed, s.Seal(d)) {
		t.Error("two seals of one delivery are equal")
	}
	elsewhere, _ := NewSealer(key, "elsewhere")
	otherKey, _ := NewSealer(bytes.Repeat([]byte{8}, 32), "here")
	for name, bad := range map[string]func() ([]byte, *Sealer){
		"another installation": func() ([]byte, *Sealer) { return sealed, elsewhere },
		"another key":          func() ([]byte, *Sealer) { return sealed, otherKey },
		"nothing":              func() ([]byte, *Sealer) { return nil, s },
		"Temporal's own":       func() ([]byte, *Sealer) { return d.TaskToken, s },
		"cut":                  func() ([]byte, *Sealer) { return sealed[:len(sealed)-1], s },
		"too long":             func() ([]byte, *Sealer) { return make([]byte, longestSeal+1), s },
		"a seal of less": func() ([]byte, *Sealer) {
			return s.aead.Seal(nil, nil, []byte("short"), s.domain), s
		},
	} {
		token, with := bad()
		if _, err := with.Open(token); err == nil {
			t.Errorf("%s is opened", name)
		}
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := s.Open(changed); err == nil {
			t.Fatalf("a token changed in byte %d is opened", i)
		}
	}
	if _, err := NewSealer([]byte("short"), "here"); err == nil {
		t.Error("a short key is taken")
	}
}
