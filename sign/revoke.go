package sign

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"debusine"
)

// Revoke gives a key's OpenPGP certificate, armoured, with the key's own word that
// it is good no more: because others may have it, or because it was replaced.
// Nothing is changed here; who publishes it cannot take it back.
func (s Signer) Revoke(ctx context.Context, key Key, compromised bool, why string) ([]byte, error) {
	if !key.Purpose.isOpenPGP() {
		return nil, debusine.Invalid{What: "an X.509 certificate does not revoke itself", Hint: "put it into the firmware's list of forbidden ones (dbx)"}
	}
	answer, err := s.run(ctx, request{Do: doRevoke, Purpose: key.Purpose, Key: key.Private, Public: key.Public, Compromised: compromised, Data: []byte(why)})
	if err != nil {
		return nil, err
	}
	return Armour(answer.Public)
}

func (r request) revoke(now time.Time) (answer response, err error) {
	entity, done, err := r.entity()
	if err != nil {
		return answer, err
	}
	defer done()
	reason := packet.KeyRetired
	if r.Compromised {
		reason = packet.KeyCompromised
	}
	// What others know of the key, with its own word added.
	known, err := readEntity(r.Public)
	if err != nil {
		return answer, err
	}
	known.PrivateKey = entity.PrivateKey
	if err := known.RevokeKey(reason, plain(string(r.Data)), config(Ed25519, now, 0)); err != nil {
		return answer, fmt.Errorf("revoking a key: %w", err)
	}
	var out bytes.Buffer
	if err := known.Serialize(&out); err != nil {
		return answer, fmt.Errorf("writing a revoked certificate: %w", err)
	}
	answer.Public = out.Bytes()
	return answer, nil
}

// entity is the OpenPGP key with its private half, or with the token that has it;
// done closes the latter.
func (r request) entity() (entity *openpgp.Entity, done func(), err error) {
	if r.Key.Storage == PKCS11 {
		t, err := r.token()
		if err != nil {
			return nil, nil, err
		}
		if entity, err = hardwareEntity(r.Public, t); err != nil {
			t.close()
			return nil, nil, err
		}
		return entity, t.close, nil
	}
	private, err := r.private()
	if err != nil {
		return nil, nil, err
	}
	entity, err = readEntity(private)
	return entity, func() {}, err
}
