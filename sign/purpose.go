package sign

import (
	"strings"

	"debusine"
)

// Purpose is what a key may sign; a key has one.
type Purpose string

// The purposes of Debusine.
const (
	OpenPGP           Purpose = "openpgp"            // uploads: .dsc, .buildinfo, .changes
	OpenPGPRepository Purpose = "openpgp-repository" // Release files
	UEFI              Purpose = "uefi"               // Secure Boot: PE executables
)

// ParsePurpose reads a purpose's name.
func ParsePurpose(text string) (Purpose, error) {
	switch p := Purpose(text); p {
	case OpenPGP, OpenPGPRepository, UEFI:
		return p, nil
	}
	return "", debusine.Invalidf("purpose must be openpgp, openpgp-repository or uefi, not %.80q", text)
}

// isOpenPGP says that the key is an OpenPGP certificate, not an X.509 one.
func (p Purpose) isOpenPGP() bool { return p == OpenPGP || p == OpenPGPRepository }

// Algorithm is what a key computes with.
type Algorithm string

// The algorithms of keys that are made here. Digests are SHA-512 for OpenPGP and
// SHA-256 for UEFI, whose firmware knows no other.
const (
	Ed25519 Algorithm = "ed25519"
	RSA4096 Algorithm = "rsa4096"
	RSA2048 Algorithm = "rsa2048" // UEFI alone: firmware that takes more is rare
)

// ParseAlgorithm reads an algorithm's name for keys of a purpose; empty stands
// for the usual one.
func ParseAlgorithm(text string, p Purpose) (Algorithm, error) {
	usual, known := Ed25519, []Algorithm{Ed25519, RSA4096}
	if p == UEFI {
		usual, known = RSA2048, []Algorithm{RSA2048, RSA4096}
	}
	if text == "" {
		return usual, nil
	}
	var names []string
	for _, a := range known {
		if string(a) == strings.ToLower(text) {
			return a, nil
		}
		names = append(names, string(a))
	}
	return "", debusine.Invalidf("algorithm %.40q is not for %s keys: %s", text, p, strings.Join(names, ", "))
}
