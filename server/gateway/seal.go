package gateway

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"debusine"
	"debusine/store"
)

// Sealer turns what Temporal calls a task token into one that only its worker
// can use, and back. The gateway seals; the gateway and whoever answers a begin
// open. It is safe for concurrent use.
type Sealer struct {
	aead   cipher.AEAD
	domain []byte // authenticated, not sent: the installation
}

const (
	sealedHead  = 8 + 8 + 4 // work request, worker, Temporal's attempt
	longestSeal = 8 << 10   // bytes; Temporal's tokens have some hundreds
)

// NewSealer takes the installation's 32 bytes of key and its name.
func NewSealer(key []byte, installation string) (*Sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing task tokens: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sealing task tokens: %w", err)
	}
	return &Sealer{aead, []byte("debusine task token 1 " + installation)}, nil
}

// Seal encloses a delivery.
func (s *Sealer) Seal(d store.Delivery) []byte {
	plain := binary.BigEndian.AppendUint64(nil, uint64(d.WorkRequest))
	plain = binary.BigEndian.AppendUint64(plain, uint64(d.Worker))
	plain = binary.BigEndian.AppendUint32(plain, uint32(d.Attempt))
	return s.aead.Seal(nil, nil, append(plain, d.TaskToken...), s.domain)
}

// Open gives the delivery back, or a Forbidden for a token that this
// installation did not seal. Whether it is the caller's, the caller compares.
func (s *Sealer) Open(sealed []byte) (store.Delivery, error) {
	forged := debusine.Forbiddenf("the task token is not one that was given out here")
	if len(sealed) > longestSeal {
		return store.Delivery{}, forged
	}
	plain, err := s.aead.Open(nil, nil, sealed, s.domain)
	if err != nil || len(plain) < sealedHead {
		return store.Delivery{}, forged
	}
	return store.Delivery{
		WorkRequest: int64(binary.BigEndian.Uint64(plain)),
		Worker:      int64(binary.BigEndian.Uint64(plain[8:])),
		Attempt:     int32(binary.BigEndian.Uint32(plain[16:])),
		TaskToken:   plain[sealedHead:],
	}, nil
}
