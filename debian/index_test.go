package debian

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
)

// indices are texts of a Packages and a Sources index.
type indices struct{ packages, sources []byte }

// committed are some stanzas that are kept beside the tests.
func committed(t *testing.T) (i indices) {
	for name, text := range map[string]*[]byte{"Packages": &i.packages, "Sources": &i.sources} {
		var err error
		if *text, err = os.ReadFile(filepath.Join("testdata", name)); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// fetched are those of main, from the machine's own mirror, fetched by apt
// into a root of its own.
func fetched(t *testing.T) indices {
	t.Helper()
	said, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages", "Component: main").Output()
	fields := strings.Fields(string(said))
	if err != nil || len(fields) < 2 {
		t.Skip("apt knows no mirror: run apt-get update")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "sources.list")
	writeFile(t, list, "deb "+fields[0]+" "+fields[1]+" main\ndeb-src "+fields[0]+" "+fields[1]+" main\n", 0o644)
	apt := func(program string, args ...string) []byte {
		t.Helper()
		run := exec.Command(program, append([]string{"-o", "Dir::Etc::sourcelist=" + list, "-o", "Dir::Etc::sourceparts=-",
			"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"), "-o", "Dir::Cache::srcpkgcache=", "-o", "Dir::Cache::pkgcache=",
			"-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root"}, args...)...)
		var stderr bytes.Buffer
		run.Stderr = &stderr
		out, err := run.Output()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, stderr.Bytes())
		}
		return out
	}
	apt("apt-get", "update")
	read := func(by string) []byte {
		name := strings.TrimSpace(string(apt("apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: "+by)))
		return apt("/usr/lib/apt/apt-helper", "cat-file", name)
	}
	return indices{packages: read("Packages"), sources: read("Sources")}
}

func paragraphs(t *testing.T, text []byte) []Paragraph {
	t.Helper()
	var all []Paragraph
	for r := NewReader(bytes.NewReader(text)); ; {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// sample takes about n of all, spread evenly.
func sample[T any](all []T, n int) []T {
	step := max(1, len(all)/n)
	var some []T
	for i := 0; i < len(all); i += step {
		some = append(some, all[i])
	}
	return some
}

func TestRealStanzas(t *testing.T) {
	t.Run("those kept here", func(t *testing.T) { checkIndices(t, committed(t), 30) })
	t.Run("those of the mirror", func(t *testing.T) {
		if testing.Short() {
			t.Skip("fetches the indices of the mirror")
		}
		i := fetched(t)
		checkIndices(t, i, 10000)
	})
}

func checkIndices(t *testing.T, i indices, least int) {
	packages, sources := paragraphs(t, i.packages), paragraphs(t, i.sources)
	if len(packages) < least || len(sources) < least {
		t.Fatalf("%d packages and %d sources: too few", len(packages), len(sources))
	}
	t.Logf("%d packages, %d sources", len(packages), len(sources))
	t.Run("packages are read", func(t *testing.T) { readPackages(t, sample(packages, 15000)) })
	t.Run("sources are read", func(t *testing.T) { readSources(t, sample(sources, 12000)) })
	t.Run("the stanzas are those of python3-debian", func(t *testing.T) {
		stanzasAsPython(t, sample(packages, 2500))
		stanzasAsPython(t, sample(sources, 2500))
	})
	t.Run("versions compare as dpkg's", func(t *testing.T) { versionsAsDpkg(t, packages) })
	t.Run("relations reduce as dpkg's", func(t *testing.T) {
		reduceAsDpkg(t, fieldsOf(sample(sources, 3000), "Build-Depends", "Build-Depends-Indep", "Build-Depends-Arch", "Build-Conflicts"))
		reduceAsDpkg(t, fieldsOf(sample(packages, 2000), "Depends", "Breaks", "Provides", "Pre-Depends"))
	})
	t.Run("architectures match as dpkg's", func(t *testing.T) { wildcardsAsDpkg(t, sources) })
}

// readPackages puts each package into types and back.
func readPackages(t *testing.T, packages []Paragraph) {
	machine := &Installed{Build: "amd64", Host: "amd64"}
	for _, p := range packages {
		if _, err := parseControl([]byte(p.String()), nil); err != nil {
			t.Errorf("%s: %v", p.Get("Package"), err)
		}
		if err := machine.Add(p); err != nil {
			t.Errorf("%s: %v", p.Get("Package"), err)
		}
		for _, field := range []string{"Depends", "Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts", "Replaces", "Built-Using"} {
			if _, err := ParseRelations(p.Get(field)); err != nil {
				t.Errorf("%s: %s: %v", p.Get("Package"), field, err)
			}
		}
	}
}

// readSources reads each stanza as the .dsc that it was made from.
func readSources(t *testing.T, sources []Paragraph) {
	unbuildable := 0
	for _, p := range sources {
		if err := p.Set("Source", p.Get("Package")); err != nil {
			t.Fatal(err)
		}
		files := slices.DeleteFunc(p.Fields(), func(f Field) bool { return f.Name == "Package" })
		var dsc Paragraph
		for _, f := range files {
			value := f.Value
			if strings.EqualFold(f.Name, "Files") || strings.HasPrefix(f.Name, "Checksums") {
				value = withoutDSC(value)
			}
			if err := dsc.Set(f.Name, value); err != nil {
				t.Fatal(err)
			}
		}
		d, err := ParseDSC(strings.NewReader(dsc.String()))
		if err != nil {
			t.Errorf("%s: %v", p.Get("Package"), err)
			continue
		}
		if d.Targets.Builds("amd64", nil) != nil && d.Targets.Builds(ArchAll, nil) != nil {
			unbuildable++
		}
		for _, field := range []string{"Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep", "Build-Conflicts", "Build-Conflicts-Arch", "Build-Conflicts-Indep"} {
			if _, err := ParseRelations(p.Get(field)); err != nil {
				t.Errorf("%s: %s: %v", d.Source, field, err)
			}
		}
	}
	if unbuildable*20 > len(sources) {
		t.Errorf("%d of %d sources make nothing for amd64 or all", unbuildable, len(sources))
	}
}

// withoutDSC takes away the line that an index adds.
func withoutDSC(list string) string {
	lines := strings.Split(list, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.HasSuffix(line, ".dsc") }), "\n")
}

// stanzasAsPython compares names and values with debian.deb822.
func stanzasAsPython(t *testing.T, stanzas []Paragraph) {
	t.Helper()
	var text strings.Builder
	if err := WriteParagraphs(&text, stanzas...); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "stanzas")
	writeFile(t, name, text.String(), 0o644)
	answers := ask(t, make([]string, len(stanzas)), "/usr/bin/python3", "-c", `
import hashlib, sys
from debian.deb822 import Deb822
for p in Deb822.iter_paragraphs(open(sys.argv[1], encoding="utf-8"), use_apt_pkg=False):
    print(hashlib.md5("".join("%s\0%s\0" % (k, p[k]) for k in p.keys()).encode()).hexdigest())`, name)
	for i, p := range stanzas {
		var all strings.Builder
		for _, f := range p.Fields() {
			all.WriteString(f.Name + "\x00" + f.Value + "\x00")
		}
		if got := sumOf(all.String()); got != answers[i] {
			t.Errorf("%s is not as python3-debian reads it", p.Get("Package"))
		}
	}
}

// versionsAsDpkg compares versions that differ little: neighbours once sorted.
func versionsAsDpkg(t *testing.T, packages []Paragraph) {
	var versions []Version
	for _, p := range packages {
		versions = append(versions, mustVersion(t, p.Get("Version")))
	}
	slices.SortFunc(versions, Version.Compare)
	versions = slices.CompactFunc(versions, func(v, w Version) bool { return v.String() == w.String() })
	var pairs [][2]string
	for i := range versions[1:] {
		pairs = append(pairs, [2]string{versions[i].String(), versions[i+1].String()}, [2]string{versions[i].String(), versions[(i*7)%len(versions)].String()})
	}
	compareAsDpkg(t, pairs)
}

func fieldsOf(stanzas []Paragraph, names ...string) []string {
	var fields []string
	for _, p := range stanzas {
		for _, name := range names {
			if value := strings.Join(strings.Fields(p.Get(name)), " "); value != "" {
				fields = append(fields, value)
			}
		}
	}
	return fields
}

// wildcardsAsDpkg asks about each Architecture field for some machines.
func wildcardsAsDpkg(t *testing.T, sources []Paragraph) {
	fields := fieldsOf(sources, "Architecture")
	slices.Sort(fields)
	fields = slices.Compact(fields)
	hosts := strings.Fields("amd64 arm64 armhf i386 s390x x32 mips64el hurd-i386 kfreebsd-amd64")
	answers := askPerl(t, fields, `my $field = $_; print join(" ", grep { my $host = $_; grep { debarch_is($host, $_) } split / /, $field } qw(`+strings.Join(hosts, " ")+`)), "\n";`)
	for i, field := range fields {
		targets, err := targetsOf(map[string]string{"Architecture": field})
		if err != nil {
			t.Errorf("%s: %v", field, err)
			continue
		}
		var got []string
		for _, host := range hosts {
			if targets.Builds(Arch(host), nil) == nil {
				got = append(got, host)
			}
		}
		if strings.Join(got, " ") != answers[i] {
			t.Errorf("%s is for %v, dpkg says %s", field, got, answers[i])
		}
	}
}
