// Package signtest makes what tests of signatures sign.
package signtest

import "encoding/binary"

// Offsets into Executable, for tests that make it lie about itself.
const (
	Header      = 64               // PE signature and COFF header
	Optional    = Header + 24      // of 240 bytes
	Directories = Optional + 108   // their number, then 8 bytes each
	Sections    = Optional + 240   // one, of 40 bytes
	Code        = 512              // which ends the file
	Size        = Code + 512       // of the whole
	OfHeaders   = Optional + 60    // how long all headers are
	Signatures  = Directories + 36 // place and length of those within
)

// Executable is the smallest PE executable that sbsign and firmware take: an EFI
// application for amd64 that returns success. Marks tell one from another.
func Executable(mark string) []byte {
	b := make([]byte, Size)
	le := binary.LittleEndian
	copy(b, "MZ")
	le.PutUint32(b[60:], Header)
	copy(b[Header:], "PE\x00\x00")
	le.PutUint16(b[Header+4:], 0x8664)
	le.PutUint16(b[Header+6:], 1)
	le.PutUint16(b[Header+20:], 240)
	le.PutUint16(b[Header+22:], 0x22e)
	o := b[Optional:]
	le.PutUint16(o, 0x20b)
	le.PutUint32(o[4:], 512)     // bytes of code
	le.PutUint32(o[16:], 0x1000) // where it begins to run
	le.PutUint32(o[20:], 0x1000)
	le.PutUint32(o[32:], 0x1000) // sections in memory, and in the file
	le.PutUint32(o[36:], 512)
	le.PutUint32(o[56:], 0x2000)
	le.PutUint32(o[60:], 512)
	le.PutUint16(o[68:], 10) // an EFI application
	le.PutUint32(o[108:], 16)
	s := b[Sections:]
	copy(s, ".text")
	le.PutUint32(s[8:], 512)
	le.PutUint32(s[12:], 0x1000)
	le.PutUint32(s[16:], 512)
	le.PutUint32(s[20:], Code)
	le.PutUint32(s[36:], 0x60000020)
	copy(b[Code:], "\x31\xc0\xc3") // xor eax, eax; ret
	copy(b[Code+16:], mark)
	return b
}
