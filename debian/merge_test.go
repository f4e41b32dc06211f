package debian_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"debusine/debian"
)

// changesText is a .changes of files whose content is their name, unless the name
// says otherwise after an equals sign.
func changesText(architectures, binary, description string, files ...string) string {
	lists := map[string]string{}
	for _, f := range files {
		name, content, given := strings.Cut(f, "=")
		if !given {
			content = name
		}
		size := len(content)
		lists["1"] += fmt.Sprintf(" %x %d %s\n", sha1.Sum([]byte(content)), size, name)
		lists["256"] += fmt.Sprintf(" %x %d %s\n", sha256.Sum256([]byte(content)), size, name)
		lists["f"] += fmt.Sprintf(" %x %d misc optional %s\n", md5.Sum([]byte(content)), size, name)
	}
	text := "Format: 1.8\nDate: Sun, 22 Nov 2026 12:00:00 +0000\nSource: hello\n"
	if binary != "" {
		text += "Binary: " + binary + "\n"
	}
	text += "Architecture: " + architectures + "\nVersion: 2.10-3\nDistribution: unstable\nUrgency: medium\nMaintainer: A <a@example.org>\nChanged-By: A <a@example.org>\n"
	if description != "" {
		text += "Description:\n" + description
	}
	return text + "Changes:\n hello (2.10-3) unstable; urgency=medium\n .\n   * x\nChecksums-Sha1:\n" + lists["1"] + "Checksums-Sha256:\n" + lists["256"] + "Files:\n" + lists["f"]
}

func parseAll(t *testing.T, texts []string) []*debian.Changes {
	t.Helper()
	var all []*debian.Changes
	for _, text := range texts {
		c, err := debian.ParseChanges(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		all = append(all, c)
	}
	return all
}

const (
	helloLine = " hello - greets\n"
	docLine   = " hello-doc - tells how\n"
)

func TestMergedChangesAreThoseOfMergechanges(t *testing.T) {
	for name, texts := range map[string][]string{
		"a source and two builds": {
			changesText("source", "", "", "hello_2.10-3.dsc", "hello_2.10.orig.tar.gz"),
			changesText("all amd64", "hello hello-doc", helloLine+docLine, "hello_2.10-3_amd64.deb", "hello-doc_2.10-3_all.deb", "hello_2.10-3_amd64.buildinfo"),
			changesText("arm64", "hello", helloLine, "hello_2.10-3_arm64.deb", "hello_2.10-3_arm64.buildinfo")},
		"two that share a file": {
			changesText("amd64 source", "hello", helloLine, "hello_2.10-3.dsc", "hello_2.10-3_amd64.deb"),
			changesText("all source", "hello-doc", docLine, "hello_2.10-3.dsc", "hello-doc_2.10-3_all.deb")},
		"a build before its source": {
			changesText("amd64", "hello", helloLine, "hello_2.10-3_amd64.deb"),
			changesText("source", "", "", "hello_2.10-3.dsc")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			merged, err := debian.MergeChanges(parseAll(t, texts)...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := debian.ParseChanges(strings.NewReader(merged.String())); err != nil {
				t.Errorf("%v in\n%s", err, merged)
			}
			if _, err := exec.LookPath("mergechanges"); err != nil {
				t.Skip("devscripts is not installed; hint: make deps")
			}
			dir, args := t.TempDir(), []string{}
			for i, text := range texts {
				args = append(args, filepath.Join(dir, fmt.Sprint(i)+".changes"))
				if err := os.WriteFile(args[i], []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := exec.Command("mergechanges", args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			// It ends fields with a space, and has one for what an upload does not describe.
			if theirs := strings.NewReplacer("\n \n", "\n", ": \n", ":\n").Replace(string(want)); strings.TrimSpace(theirs) != strings.TrimSpace(merged.String()) {
				t.Errorf("mergechanges gives\n%s\nwe give\n%s", theirs, merged)
			}
		})
	}
}

func TestUploadsThatContradictAreNotMerged(t *testing.T) {
	one := changesText("amd64", "hello", helloLine, "hello_2.10-3_amd64.deb", "README")
	for name, c := range map[string]struct{ other, want string }{
		"one alone":              {"", "two .changes or more"},
		"another version":        {strings.ReplaceAll(one, "Version: 2.10-3", "Version: 2.10-4"), "Version"},
		"another source":         {strings.Replace(one, "Source: hello", "Source: goodbye", 1), "Source"},
		"another format":         {strings.Replace(one, "Format: 1.8", "Format: 1.7", 1), "Format"},
		"another description":    {strings.Replace(one, "greets", "insults", 1), "describe \"hello\" differently"},
		"another file of a name": {changesText("arm64", "hello", helloLine, "hello_2.10-3_arm64.deb", "README=other"), "different files of the name \"README\""},
	} {
		t.Run(name, func(t *testing.T) {
			texts := []string{one}
			if c.other != "" {
				texts = append(texts, c.other)
			}
			if merged, err := debian.MergeChanges(parseAll(t, texts)...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\n%s", err, merged)
			}
		})
	}
}
