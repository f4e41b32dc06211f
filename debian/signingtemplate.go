package debian

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
)

// SigningTemplate is the file files.json of a -signed-template package: which
// files of which binary packages want a signature. Source:
// https://wiki.debian.org/SecureBoot/Discussion
type SigningTemplate struct {
	Packages []SigningPackage // sorted by name
}

// SigningPackage is one binary package of a SigningTemplate.
type SigningPackage struct {
	Name         string
	TrustedCerts []string // SHA-256 of certificates that the code trusts, in lower case
	Files        []SigningFile
}

// SigningFile is one file to be signed.
type SigningFile struct {
	Name string // clean and relative to the root: boot/vmlinuz-6.1.0-40-amd64
	Type string // sig_type: efi, linux-module …
}

// Bounds on files.json. That of linux for amd64 names 4,000 modules in 500 kB.
const (
	MaxSigningTemplate = 16 << 20
	maxSigningFiles    = 100_000
)

// SigningFolder is the folder of a template package that holds files.json and
// source-template: without slashes at its ends.
func SigningFolder(template string) string { return "usr/share/code-signing/" + template }

// ParseSigningTemplate reads files.json. Names that lead out of a package, that
// stand twice or that no file can have are a Malformed.
func ParseSigningTemplate(raw []byte) (t SigningTemplate, err error) {
	var file struct {
		Packages map[string]struct {
			TrustedCerts []string `json:"trusted_certs"`
			Files        []struct {
				Type string `json:"sig_type"`
				File string `json:"file"`
			} `json:"files"`
		} `json:"packages"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&file); err != nil {
		return t, malformedf("files.json is not what a signing template holds: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return t, malformedf("files.json holds more than one value")
	}
	if len(file.Packages) == 0 {
		return t, malformedf("files.json names no package")
	}
	total := 0
	for name, p := range file.Packages {
		if _, err := ParsePackageName(name); err != nil {
			return t, err
		}
		one := SigningPackage{Name: name}
		for _, cert := range p.TrustedCerts {
			if len(cert) != 64 || strings.Trim(cert, "0123456789abcdefABCDEF") != "" {
				return t, malformedf("files.json: %s trusts %s, which is not the SHA-256 of a certificate", name, quote(cert))
			}
			one.TrustedCerts = append(one.TrustedCerts, strings.ToLower(cert))
		}
		seen := map[string]bool{}
		for _, f := range p.Files {
			clean, err := signingPath(f.File)
			if err != nil {
				return t, err
			}
			if seen[clean] {
				return t, malformedf("files.json names %s of %s twice", quote(f.File), name)
			}
			seen[clean] = true
			one.Files = append(one.Files, SigningFile{clean, f.Type})
		}
		if total += len(one.Files); total > maxSigningFiles {
			return t, malformedf("files.json names more than %d files", maxSigningFiles)
		}
		if len(one.Files) == 0 {
			return t, malformedf("files.json names no file of %s", name)
		}
		t.Packages = append(t.Packages, one)
	}
	slices.SortFunc(t.Packages, func(a, b SigningPackage) int { return strings.Compare(a.Name, b.Name) })
	return t, nil
}

// signingPath lets plain relative paths pass, of what packages and artifacts
// can both hold.
func signingPath(name string) (string, error) {
	clean := path.Clean(name)
	switch {
	case name == "" || clean == "." || strings.HasPrefix(name, "/") || slices.Contains(strings.Split(name, "/"), ".."):
		return "", malformedf("files.json names %s, which is not a path below the root of a package", quote(name))
	case len(name) > 1000 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == 0xfffd }):
		return "", malformedf("files.json names %s, which is too long or holds what no such path holds", quote(name))
	}
	return clean, nil
}

// mostLinks is how many symbolic links a path may go through: as the kernel.
const mostLinks = 40

// PackageTree knows what a package holds by name, to follow its links without
// unpacking it.
type PackageTree map[string]DebEntry

// Add puts an entry in.
func (t PackageTree) Add(e DebEntry) { t[e.Name] = e }

// Resolve follows links within the package and gives the entry whose contents a
// path comes to, a plain file. A link that leads out of the package, to nothing
// or in a circle is a Malformed.
func (t PackageTree) Resolve(name string) (string, error) {
	hops := 0
	left := strings.Split(name, "/")
	at := ""
	for len(left) > 0 {
		part := left[0]
		left = left[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "" {
				return "", malformedf("%s leads out of the package through a link", quote(name))
			}
			if at = path.Dir(at); at == "." {
				at = ""
			}
			continue
		}
		next := path.Join(at, part)
		e, found := t[next]
		switch {
		case !found:
			return "", malformedf("the package holds no %s", quote(name))
		case !e.HardLink && e.Link != "":
			if hops++; hops > mostLinks {
				return "", malformedf("%s goes through more than %d links", quote(name), mostLinks)
			}
			if strings.HasPrefix(e.Link, "/") {
				return "", malformedf("%s leads out of the package through a link", quote(name))
			}
			left = append(strings.Split(e.Link, "/"), left...)
			continue
		}
		at = next
	}
	return t.plain(name, at)
}

// plain gives the name that holds the contents, where hard links share them.
func (t PackageTree) plain(name, at string) (string, error) {
	e := t[at]
	for hops := 0; e.HardLink; hops++ {
		next, found := t[e.Link]
		if !found || hops > mostLinks {
			return "", malformedf("%s is a hard link to nothing", quote(name))
		}
		e = next
	}
	if !e.Mode.IsRegular() || e.Link != "" {
		return "", malformedf("%s is not a plain file of the package", quote(name))
	}
	return e.Name, nil
}
