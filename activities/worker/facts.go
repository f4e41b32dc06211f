package workeract

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"debusine"
	"debusine/debian"
)

// hook is the shell script that runs last, outside of the chroot ($1) but as
// root of its namespace: sources and keys as builds shall find them, nothing
// of the machine that made it, the customization, and the facts. It is given
// no data but paths that we made.
func (m *mmdebstrap) hook(a *attempt) string {
	at := func(name string) string { return quote(filepath.Join(a.folder.Path, name)) }
	var s strings.Builder
	s.WriteString("set -e\nroot=$1\n" +
		"rm -f \"$root/etc/apt/sources.list\" \"$root\"/etc/apt/sources.list.d/*\n" +
		"cp " + at("final.sources") + " \"$root/etc/apt/sources.list.d/debusine.sources\"\n")
	for _, repo := range m.repos {
		folder := m.keyFolder(repo)
		if folder != "" {
			fmt.Fprintf(&s, "mkdir -p \"$root%s\"\ncp %s \"$root%s/%s\"\n", folder, quote(repo.key), folder, filepath.Base(repo.key))
		}
	}
	s.WriteString("rm -f \"$root/etc/hostname\"\n" +
		"test -L \"$root/etc/resolv.conf\" || rm -f \"$root/etc/resolv.conf\"\n")
	if m.data.CustomizationScript != "" {
		s.WriteString("cp " + at("customize") + " \"$root/tmp/customize\"\nchmod 755 \"$root/tmp/customize\"\n" +
			"if head -c2 \"$root/tmp/customize\" | grep -q '^#!'\n" +
			"then chroot \"$root\" /tmp/customize\nelse chroot \"$root\" sh -e /tmp/customize\nfi\n" +
			"rm -f \"$root/tmp/customize\"\n")
	}
	// The files of the chroot are read by its own root, links do not lead out
	// further than that.
	s.WriteString("{\n" +
		"sed -n 's/^\\(ID\\|VERSION_CODENAME\\)=\"\\{0,1\\}\\([^\"]*\\)\"\\{0,1\\}$/\\1=\\2/p' \"$root/usr/lib/os-release\" || :\n" +
		releaseFacts +
		"if test -e \"$root/sbin/init\" || test -L \"$root/sbin/init\"; then echo init=yes; fi\n" +
		"dpkg-query --admindir=\"$root/var/lib/dpkg\" --show --showformat='${db:Status-Abbrev} ${Package} ${Version}\\n' || :\n" +
		"} > " + quote(m.facts) + "\n")
	return s.String()
}

// releaseFacts tells what the Release files say of architectures that apt has
// fetched and verified: "Release=NAME amd64 arm64". Once the hook is over,
// mmdebstrap removes them.
const releaseFacts = "for release in \"$root\"/var/lib/apt/lists/*Release; do\n" +
	"sed -n \"s|^Architectures:|Release=${release##*/}|p\" \"$release\" 2>/dev/null || :\ndone\n"

// releaseName is what apt calls the Release file of a repository, without its
// last word: host_path_dists_suite_.
func (r repository) releaseName() string {
	_, place, _ := strings.Cut(strings.TrimRight(r.Mirror, "/"), "://")
	return strings.ReplaceAll(place+"/dists/"+r.Suite+"/", "/", "_")
}

// quote makes one word of a path for a shell.
func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// keyFolder is where a repository's key goes in the chroot; empty for none.
func (m *mmdebstrap) keyFolder(repo repository) string {
	switch {
	case repo.CheckSignatureWith != "external":
		return ""
	case m.signedBy():
		return "/etc/apt/keyrings"
	case repo.Keyring.Install:
		return "/etc/apt/trusted.gpg.d"
	}
	return ""
}

// factsSize bounds what the hook may say: a system of 50,000 packages.
const factsSize = 8 << 20

// describe turns the facts into the artifact's data.
func (m *mmdebstrap) describe() (debusine.SystemTarballData, error) {
	o, first := m.data.BootstrapOptions, m.repos[0]
	data := debusine.SystemTarballData{Filename: tarName, Mirror: first.Mirror, Pkglist: map[string]string{},
		Architecture: o.Architecture, Variant: o.Variant, WithDev: true, Components: []string{}}
	for _, repo := range m.repos {
		for _, name := range repo.components {
			if !slices.Contains(data.Components, name) {
				data.Components = append(data.Components, name)
			}
		}
	}
	file, err := openPlain(m.facts)
	if err != nil {
		return data, unusablef("the bootstrap left no facts: %v", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, factsSize))
	if err != nil {
		return data, err
	}
	learn(&data, string(text), first.releaseName())
	if data.Codename == "" {
		data.Codename, _, _ = strings.Cut(first.Suite, "/")
	}
	if data.Vendor == "" {
		data.Vendor = "unknown" // a chroot without base-files
	}
	// unstable calls itself by the name of the next release.
	if first.Suite == "unstable" || first.Suite == "sid" {
		data.Codename = "sid"
	}
	return data, nil
}

// learn reads the hook's lines: ID=debian, init=yes, "ii  bash 5.2-1". Of the
// Release files the one of that name counts.
func learn(d *debusine.SystemTarballData, text, release string) {
	for line := range strings.Lines(text) {
		line = strings.ToValidUTF8(strings.TrimRight(line, "\n"), "?")
		fields := strings.Fields(line)
		name, value, _ := strings.Cut(line, "=")
		switch {
		case len(fields) == 3 && strings.HasPrefix(fields[0], "ii"):
			d.Pkglist[fields[1]] = fields[2]
		case name == "ID":
			d.Vendor = value
		case name == "VERSION_CODENAME":
			d.Codename = value
		case name == "init":
			d.WithInit = true
		case name == "Release" && len(fields) > 1 && strings.HasPrefix(value, release):
			d.SuiteArchitectures = machines(fields[1:])
		}
	}
}

// machines are the words that name architectures of machines: all is none, and
// what a later dpkg knows is left out.
func machines(words []string) (known []string) {
	for _, word := range words {
		if arch, err := debian.ParseArch(word); err == nil && arch.IsReal() && !slices.Contains(known, word) {
			known = append(known, word)
		}
	}
	return known
}
