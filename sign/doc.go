// Package sign makes keys and signatures: OpenPGP and UEFI Secure Boot, with
// keys that lie encrypted in a database or in hardware behind PKCS#11.
//
// The process that speaks to the network never holds a key. It knows keys as
// Protected: bytes that only a service key opens, or the address of a token. A
// Signer starts a child for each piece of work: this very program again, with an
// empty environment, no core dumps, few rights, and pipes as its only links. The
// child reads the service key's file by itself, opens the one key that it was
// handed, makes one key or one signature, answers, and is gone, and with it
// every copy of the key in memory. So a fault in what parses uploads or answers
// of a server finds no key to give away; docs/signing.md says what remains.
//
// What a child answers are the four faults of package debusine, in words that
// are ours: neither a key nor what a tool wrote about one reaches an error.
//
// Where keys are kept, and the record of what was signed, is package vault.
package sign
