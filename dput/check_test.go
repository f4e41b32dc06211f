package dput_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"debusine"
	"debusine/dput"
	"debusine/dput/dputtest"
)

// person has a key that signs.
type person struct{ *openpgp.Entity }

func someoneWithAKey(t *testing.T, name string) person {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.org", nil)
	if err != nil {
		t.Fatal(err)
	}
	return person{e}
}

func (p person) clearsign(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, p.PrivateKey, nil)
	if err == nil {
		if _, err = w.Write(text); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

func (p person) keyring(t *testing.T) *dput.Keyring {
	t.Helper()
	var out bytes.Buffer
	if err := p.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	k, err := dput.ReadKeyring(dputtest.Write(t, filepath.Join(t.TempDir(), "keyring.gpg"), out.String()))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// source is what dpkg makes of a small package of a version.
type source struct {
	dir, changes, dsc string
}

func makeSource(t *testing.T, version string, options ...string) *source {
	t.Helper()
	top := t.TempDir()
	tree := filepath.Join(top, "tiny-1.0")
	native := !strings.Contains(version, "-")
	format := "3.0 (quilt)\n"
	if native {
		format = "3.0 (native)\n"
	}
	for name, text := range map[string]string{
		"debian/control":       "Source: tiny\nMaintainer: A <a@example.org>\nSection: misc\nPriority: optional\nStandards-Version: 4.6.2\n\nPackage: tiny\nArchitecture: all\nDescription: made by a test\n  nothing else\n",
		"debian/changelog":     "tiny (" + version + ") unstable; urgency=medium\n\n  * x\n\n -- A <a@example.org>  Sun, 22 Nov 2026 12:00:00 +0000\n",
		"debian/rules":         "#!/usr/bin/make -f\nclean:\n",
		"debian/source/format": format, "README": "tiny\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		dputtest.Write(t, filepath.Join(tree, name), text)
	}
	if !native {
		dputtest.Run(t, "tar", "-C", top, "-czf", filepath.Join(top, "tiny_1.0.orig.tar.gz"), "--exclude=debian", "tiny-1.0")
	}
	s := &source{dir: top, dsc: "tiny_" + version + ".dsc", changes: "tiny_" + version + "_source.changes"}
	c := exec.Command("sh", "-ec", `dpkg-source -b tiny-1.0; cd tiny-1.0; dpkg-genchanges -S "$@" >../`+s.changes, "sh")
	c.Args, c.Dir = append(c.Args, options...), top
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return s
}

func (s *source) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// files are those of the upload: what its .changes lists, and itself.
func (s *source) files(t *testing.T) []dput.File {
	t.Helper()
	changes := s.read(t, s.changes)
	all := []dput.File{fileOf(s.changes, changes)}
	for _, e := range list(t, s.dir) {
		if bytes.Contains(changes, []byte(" "+e+"\n")) {
			all = append(all, fileOf(e, s.read(t, e)))
		}
	}
	return all
}

// sign signs as debsign does.
func (s *source) sign(t *testing.T, p person) {
	t.Helper()
	signed := p.clearsign(t, s.read(t, s.dsc))
	dputtest.Write(t, filepath.Join(s.dir, s.dsc), string(signed))
	c := exec.Command("sh", "-ec", `cd tiny-1.0; dpkg-genchanges -S -sa >../`+s.changes)
	c.Dir = s.dir
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	dputtest.Write(t, filepath.Join(s.dir, s.changes), string(p.clearsign(t, s.read(t, s.changes))))
}

func TestGoodUploadsPass(t *testing.T) {
	ana, bob := someoneWithAKey(t, "ana"), someoneWithAKey(t, "bob")
	plain, signed := makeSource(t, "1.0-1", "-sa"), makeSource(t, "1.0-1", "-sa")
	signed.sign(t, ana)
	later := makeSource(t, "1.0-2", "-sd")
	first := makeSource(t, "1.0-1", "-sd")
	tests := []struct {
		name     string
		of       *source
		rules    dput.Rules
		want     string // of the fault; "" passes
		warnings int
	}{
		{"unsigned, where no signature is asked for", plain, dput.Rules{}, "", 0},
		{"unsigned, where one is", plain, dput.Rules{Signed: true}, "is not signed", 0},
		{"signed", signed, dput.Rules{Signed: true}, "", 0},
		{"signed by who is in the keyring", signed, dput.Rules{Signed: true, Keyring: ana.keyring(t)}, "", 0},
		{"signed by another", signed, dput.Rules{Signed: true, Keyring: bob.keyring(t)}, "is not good by the keyring", 0},
		{"for a suite that is accepted", plain, dput.Rules{Distributions: []string{"unstable"}}, "", 0},
		{"for one that is not", plain, dput.Rules{Distributions: []string{"experimental"}}, "does not go to this target", 0},
		{"a later revision without the upstream source", later, dput.Rules{}, "", 1},
		{"a first revision without it", first, dput.Rules{}, "-sa", 0},
		{"a first revision whose upstream source is known", first, dput.Rules{Known: func(name, _ string) bool { return name == "tiny_1.0.orig.tar.gz" }}, "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := dput.Check(test.of.files(t), test.rules)
			if test.want == "" && err != nil || test.want != "" && !isInvalid(err, test.want) || len(got.Warnings) != test.warnings {
				t.Errorf("%+v, %v", got.Warnings, err)
			}
			if err == nil && (got.File.Name != test.of.changes || len(got.Files) != len(test.of.files(t))-1) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// isInvalid also looks into the hint.
func isInvalid(err error, want string) bool {
	var fault debusine.Invalid
	return errors.As(err, &fault) && strings.Contains(err.Error()+fault.Hint, want)
}

func TestBadUploadsAreNotSent(t *testing.T) {
	ana := someoneWithAKey(t, "ana")
	good := makeSource(t, "1.0-1", "-sa")
	tests := []struct {
		name  string
		spoil func(files []dput.File) []dput.File
		want  string
	}{
		{"a file that is not there", func(f []dput.File) []dput.File { return without(f, ".orig.tar.gz") }, "does not hold"},
		{"a file that is not listed", func(f []dput.File) []dput.File { return append(f, fileOf("passwd", []byte("x"))) }, "does not list"},
		{"another file under a listed name", func(f []dput.File) []dput.File {
			return change(t, f, ".orig.tar.gz", func(b []byte) []byte { b[0]++; return b })
		}, "another checksum"},
		{"a file that has grown", func(f []dput.File) []dput.File {
			return change(t, f, ".dsc", func(b []byte) []byte { return append(b, '\n') })
		}, "bytes"},
		{"a wrong MD5, which only archives look at", func(f []dput.File) []dput.File {
			return change(t, f, ".changes", func(b []byte) []byte { return inField(b, "Files:", "0123456789abcdef0123456789abcdef") })
		}, "in Files with another checksum"},
		{"a name that leads out", func(f []dput.File) []dput.File { return append(f, fileOf("../x", []byte("x"))) }, "file name"},
		{"two .changes", func(f []dput.File) []dput.File { return append(f, fileOf("other.changes", []byte("x"))) }, "2 .changes"},
		{"no .changes", func(f []dput.File) []dput.File { return without(f, ".changes") }, "0 .changes"},
		{"a file twice", func(f []dput.File) []dput.File { return append(f, f[0]) }, "twice"},
		{"an unreleased one", func(f []dput.File) []dput.File {
			return replace(t, f, ".changes", "Distribution: unstable", "Distribution: UNRELEASED")
		}, "UNRELEASED"},
		{"binaries that are not there", func(f []dput.File) []dput.File {
			return replace(t, f, ".changes", "Architecture: source", "Architecture: all")
		}, "does not fit"},
		{"another version than its .dsc", func(f []dput.File) []dput.File { return replace(t, f, ".changes", "Version: 1.0-1", "Version: 1.0-2") }, "is about"},
		{"a signature that is text", func(f []dput.File) []dput.File {
			return change(t, f, ".changes", func(b []byte) []byte {
				return []byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + string(b) + "-----BEGIN PGP SIGNATURE-----\n\nnothing\n-----END PGP SIGNATURE-----\n")
			})
		}, "signature"},
		{"a certificate in place of a signature", func(f []dput.File) []dput.File {
			return change(t, f, ".changes", func(b []byte) []byte { return swapSignature(t, ana, ana.clearsign(t, b)) })
		}, "none of a document"},
		{"text before the signed part", func(f []dput.File) []dput.File {
			return change(t, f, ".changes", func(b []byte) []byte { return append([]byte("Source: other\n"), ana.clearsign(t, b)...) })
		}, "text before"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := dput.Check(test.spoil(good.files(t)), dput.Rules{}); !isInvalid(err, test.want) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a text that was changed after it was signed", func(t *testing.T) {
		signed := makeSource(t, "1.0-1", "-sa")
		signed.sign(t, ana)
		files := replace(t, signed.files(t), ".changes", "Urgency: medium", "Urgency: critical")
		if _, err := dput.Check(files, dput.Rules{Keyring: ana.keyring(t)}); !isInvalid(err, "is not good") {
			t.Errorf("%v", err)
		}
	})
}

func without(files []dput.File, suffix string) []dput.File {
	return slices.DeleteFunc(files, func(f dput.File) bool { return strings.HasSuffix(f.Name, suffix) })
}

func change(t *testing.T, files []dput.File, suffix string, how func([]byte) []byte) []dput.File {
	t.Helper()
	for i, f := range files {
		if strings.HasSuffix(f.Name, suffix) {
			files[i] = fileOf(f.Name, how(bytes.Clone(contentOf(t, f))))
			return files
		}
	}
	t.Fatalf("there is no %s", suffix)
	return nil
}

func replace(t *testing.T, files []dput.File, suffix, from, to string) []dput.File {
	t.Helper()
	return change(t, files, suffix, func(b []byte) []byte {
		if !bytes.Contains(b, []byte(from)) {
			t.Fatalf("there is no %q in %s", from, b)
		}
		return bytes.Replace(b, []byte(from), []byte(to), 1)
	})
}

// inField replaces the first word of the first line of a list.
func inField(b []byte, field, word string) []byte {
	head, list, _ := strings.Cut(string(b), "\n"+field+"\n ")
	_, rest, _ := strings.Cut(list, " ")
	return []byte(head + "\n" + field + "\n " + word + " " + rest)
}

// swapSignature puts a certificate where the signature was.
func swapSignature(t *testing.T, p person, signed []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := p.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	block, _ := clearsign.Decode(signed)
	if _, err := io.Copy(io.Discard, block.ArmoredSignature.Body); err != nil {
		t.Fatal(err)
	}
	head, _, _ := bytes.Cut(signed, []byte("-----BEGIN PGP SIGNATURE-----"))
	return append(bytes.Clone(head), armouredAs(t, "PGP SIGNATURE", out.Bytes())...)
}
