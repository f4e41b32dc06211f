package debian

import (
	"bytes"
	legacy "crypto/md5"
	older "crypto/sha1"
	secure "crypto/sha256"
	longer "crypto/sha512"
	"fmt"
	"strings"
)

// Relist writes a control file (.buildinfo, .changes) anew in which the listed
// files have other contents: in each list of digests the lines of those files get
// the new digest and size, and every other byte stays. Files that are not listed
// change nothing. The text must not be signed.
func Relist(control []byte, contents map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	digest := func([]byte) string { return "" }
	inList := false
	for line := range bytes.Lines(control) {
		if len(line) > 0 && line[0] != ' ' && line[0] != '\t' {
			name, _, _ := strings.Cut(string(line), ":")
			digest, inList = digestOf(name)
			out.Write(line)
			continue
		}
		words := strings.Fields(string(line))
		content, changed := []byte(nil), false
		if inList && len(words) >= 3 {
			content, changed = contents[words[len(words)-1]]
		}
		if !changed {
			out.Write(line)
			continue
		}
		words[0], words[1] = digest(content), fmt.Sprint(len(content))
		out.WriteString(" " + strings.Join(words, " ") + "\n")
	}
	return out.Bytes(), nil
}

// digestOf is the digest of a list's lines: deb-changes(5), deb-buildinfo(5).
func digestOf(field string) (func([]byte) string, bool) {
	switch strings.ToLower(field) {
	case "files", "checksums-md5":
		return func(b []byte) string { return fmt.Sprintf("%x", legacy.Sum(b)) }, true
	case "checksums-sha1":
		return func(b []byte) string { return fmt.Sprintf("%x", older.Sum(b)) }, true
	case "checksums-sha256":
		return func(b []byte) string { return fmt.Sprintf("%x", secure.Sum256(b)) }, true
	case "checksums-sha512":
		return func(b []byte) string { return fmt.Sprintf("%x", longer.Sum512(b)) }, true
	}
	return nil, false
}
