package sign

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"debusine"
	"debusine/sign/signtest"
)

// lying is an executable with four bytes changed.
func lying(at int, value uint32) []byte {
	b := signtest.Executable("")
	binary.LittleEndian.PutUint32(b[at:], value)
	return b
}

// withSignatures has bytes where signatures are, and says where.
func withSignatures(at, length uint32, raw ...byte) []byte {
	b := append(lying(signtest.Signatures, at), raw...)
	binary.LittleEndian.PutUint32(b[signtest.Signatures+4:], length)
	return b
}

func TestOnlySoundExecutablesReachTheProgramWithTheKey(t *testing.T) {
	const all = 0xffffffff
	for name, c := range map[string]struct {
		image []byte
		want  string
	}{
		"a sound one":                          {signtest.Executable("x"), ""},
		"one with a signature":                 {withSignatures(signtest.Size, 16, 16, 0, 0, 0, 0, 2, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8), ""},
		"nothing":                              {nil, "does not begin as one"},
		"a text":                               {[]byte(strings.Repeat("no PE ", 100)), "does not begin as one"},
		"a header outside of the file":         {lying(60, all), "ends before its headers"},
		"a header at the file's last byte":     {lying(60, signtest.Size-1), "ends before its headers"},
		"another kind of header":               {lying(signtest.Header, 0), "no PE header"},
		"no sections":                          {lying(signtest.Header+4, 0x00008664), "0 sections"},
		"65535 sections":                       {lying(signtest.Header+4, 0xffff8664), "65535 sections"},
		"an optional header beyond the file":   {lying(signtest.Header+20, 0x022effff), "ends before its headers"},
		"no optional header":                   {lying(signtest.Header+20, 0x022e0000), "no known kind"},
		"an optional header of another kind":   {lying(signtest.Optional, 0x107), "no known kind"},
		"more directories than the header has": {lying(signtest.Directories, all), "directories"},
		"no directory for signatures":          {lying(signtest.Directories, 4), "4 directories"},
		"headers longer than the file":         {lying(signtest.OfHeaders, all), "its headers have"},
		"headers that end before they do":      {lying(signtest.OfHeaders, 8), "its headers have"},
		"a section outside of the file":        {lying(signtest.Sections+20, all), `section ".text" lies outside`},
		"a section that is too long":           {lying(signtest.Sections+16, all), `section ".text" lies outside`},
		"signatures outside of the file":       {withSignatures(all, 16), "its signatures lie outside"},
		"signatures that are too long":         {withSignatures(signtest.Size, all), "its signatures lie outside"},
		"a signature of no length":             {withSignatures(signtest.Size, 8, 0, 0, 0, 0, 0, 0, 0, 0), "one of its signatures has 0 bytes"},
		"a signature that is longer than all":  {withSignatures(signtest.Size, 8, 9, 0, 0, 0, 0, 0, 0, 0), "one of its signatures has 9 bytes"},
		"half a signature":                     {withSignatures(signtest.Size, 4, 9, 0, 0, 0), "ends before its headers"},
	} {
		t.Run(name, func(t *testing.T) {
			err := image{bytes.NewReader(c.image), int64(len(c.image))}.check()
			if (err == nil) != (c.want == "") || (err != nil && (!strings.Contains(err.Error(), c.want) || !errors.As(err, new(debusine.Invalid)))) {
				t.Errorf("%v, not about %q", err, c.want)
			}
		})
	}
}

// What is no plain file holds up nobody, and a link leads nowhere.
func TestOnlyPlainFilesOfBoundedSizeAreSigned(t *testing.T) {
	dir := t.TempDir()
	pipe, link, huge := filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "huge")
	if err := errors.Join(unix.Mkfifo(pipe, 0o600), os.Symlink("/etc/shadow", link), os.WriteFile(huge, signtest.Executable(""), 0o600), os.Truncate(huge, longestImage+1)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, link, huge, dir, filepath.Join(dir, "none")} {
		if err := checkImage(path); err == nil {
			t.Errorf("%s is an executable", path)
		}
	}
}

func FuzzHostileExecutables(f *testing.F) {
	f.Add(signtest.Executable("x"))
	f.Add(withSignatures(signtest.Size, 8, 8, 0, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := (image{bytes.NewReader(raw), int64(len(raw))}).check(); err != nil && !errors.As(err, new(debusine.Invalid)) {
			t.Error(err)
		}
	})
}
