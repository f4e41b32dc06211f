package workeract

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine/task"
)

func TestSbuildCommandLine(t *testing.T) {
	tests := []struct {
		name       string
		components []string
		arch       string
		want       []string
		log        string
	}{
		{"a machine's packages", []string{"any"}, "amd64", []string{"--arch-any", "--no-arch-all", "--no-source", "--arch=amd64"}, "amd64"},
		{"packages for all", []string{"all"}, "amd64", []string{"--no-arch-any", "--arch-all", "--no-source"}, "all"},
		{"both", []string{"any", "all"}, "arm64", []string{"--arch-any", "--arch-all", "--arch=arm64"}, "arm64"},
		{"a 32-bit machine on a 64-bit one", []string{"any"}, "i386", []string{"setarch", "linux32", "--arch=i386"}, "i386"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, _ := newAttempt(t)
			a.proxy = map[string]string{"http_proxy": "http://proxy.example:3128/'x"}
			s := &sbuild{data: &task.SbuildData{BuildArchitecture: test.arch, BuildComponents: test.components},
				dsc: "/in/hello.dsc", tarball: "/cache/3.tar.zst", codename: "trixie", extra: []string{"/extra/a.deb"}}
			c, err := s.command(a)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range append(test.want, "--purge-deps=never", "--no-run-lintian", "--dist=trixie", "--chroot-mode=unshare",
				"--chroot=/cache/3.tar.zst", "--chroot-setup-commands=rm -f /etc/resolv.conf", "--bd-uninstallable-explainer=dose3",
				"--extra-package=/extra/a.deb",
				"--chroot-setup-commands="+writeInside("/etc/apt/apt.conf.d/99debusine-proxy", `Acquire::http::Proxy "http://proxy.example:3128/x";`+"\n")) {
				if !slices.Contains(c.Argv, word) {
					t.Errorf("%s is missing in %q", word, c.Argv)
				}
			}
			if c.Argv[len(c.Argv)-1] != "/in/hello.dsc" || s.data.LogArchitecture() != test.log {
				t.Errorf("%q, log of %s", c.Argv, s.data.LogArchitecture())
			}
			if rc, err := os.ReadFile(c.Env["SBUILD_CONFIG"]); err != nil || !strings.Contains(string(rc), "TMPDIR") {
				t.Errorf("configuration %s, %v", rc, err)
			}
		})
	}
}

func TestSbuildOptions(t *testing.T) {
	key := "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END PGP PUBLIC KEY BLOCK-----"
	repository := task.ExtraRepository{URL: "https://repo.example/$(id)", Suite: "x", Components: []string{"main"}, SigningKey: key}
	tests := []struct {
		name     string
		data     task.SbuildData
		codename string
		want     []string
		env      string
		wanted   string // version
	}{
		{"a cross build", task.SbuildData{HostArchitecture: "arm64"}, "trixie",
			[]string{"--build=amd64", "--host=arm64", "--profiles=cross,nocheck"}, "nocheck", "1:1.0~rc1-2"},
		{"profiles and options", task.SbuildData{BuildProfiles: []string{"stage1", "nodoc"}, BuildOptions: "parallel=2"}, "trixie",
			[]string{"--profiles=stage1,nodoc", "--arch=amd64"}, "parallel=2 nodoc", "1:1.0~rc1-2"},
		{"a path and a resolver", task.SbuildData{BuildPath: "/build/here", BuildDepResolver: "aspcud", AspcudCriteria: "-removed", ResolveAlternatives: true}, "trixie",
			[]string{"--build-path=/build/here", "--build-dep-resolver=aspcud", "--aspcud-criteria=-removed", "--resolve-alternatives"}, "", "1:1.0~rc1-2"},
		{"a rebuild", task.SbuildData{BinNMU: &task.BinNMU{Changelog: "Why; $(id) %s", Suffix: "+b3", Maintainer: "A <a@b.c>", Timestamp: &time.Time{}}}, "trixie",
			[]string{"--binNMU-changelog=hello (1:1.0~rc1-2+b3) trixie; urgency=low, binary-only=yes\n\n  * Binary-only non-maintainer upload; no source changes.\n" +
				"  * Why; $(id) %s\n\n -- A <a@b.c>  Mon, 01 Jan 0001 00:00:00 +0000\n"}, "", "1:1.0~rc1-2+b3"},
		{"a repository", task.SbuildData{ExtraRepositories: []task.ExtraRepository{repository}}, "trixie",
			[]string{"--chroot-setup-commands=" + writeInside("/etc/apt/sources.list.d/extra_repository_0.sources", repository.Sources(""))}, "", "1:1.0~rc1-2"},
		{"a repository for an old apt", task.SbuildData{ExtraRepositories: []task.ExtraRepository{repository}}, "bullseye",
			[]string{"--chroot-setup-commands=" + writeInside("/etc/apt/sources.list.d/extra_repository_0.sources", repository.Sources("/etc/apt/keyrings/extra_apt_key_0.asc")),
				"--chroot-setup-commands=" + writeInside("/etc/apt/keyrings/extra_apt_key_0.asc", key+"\n")}, "", "1:1.0~rc1-2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, _ := newAttempt(t)
			test.data.BuildArchitecture, test.data.BuildComponents = "amd64", []string{"any"}
			s := &sbuild{data: &test.data, name: "hello", version: "1:1.0~rc1-2", wanted: "1:1.0~rc1-2", dsc: "/in/hello.dsc", tarball: "/3.tar", codename: test.codename}
			c, err := s.command(a)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range test.want {
				if !slices.Contains(c.Argv, word) {
					t.Errorf("%s is missing in %q", word, c.Argv)
				}
			}
			if c.Env["DEB_BUILD_OPTIONS"] != test.env || s.wanted != test.wanted {
				t.Errorf("options %q, version %s", c.Env["DEB_BUILD_OPTIONS"], s.wanted)
			}
		})
	}
}

func TestBootstrapInputs(t *testing.T) {
	no := false
	key := &task.Keyring{URL: "file:///usr/share/keyrings/k.gpg"}
	repo := func(check string) task.BootstrapRepository {
		return task.BootstrapRepository{Mirror: "http://mirror.example/debian", Suite: "trixie", Types: []string{"deb"}, CheckSignatureWith: check, Keyring: key}
	}
	tests := []struct {
		name            string
		check           string
		options         task.BootstrapOptions
		outside, inside []string // lines of the sources as mmdebstrap and as the chroot sees them
		hook            string
	}{
		{"signed by a key of its own", "external", task.BootstrapOptions{}, []string{"Signed-By: /job/debusine-0.gpg"},
			[]string{"Signed-By: /etc/apt/keyrings/debusine-0.gpg"}, `cp '/job/debusine-0.gpg' "$root/etc/apt/keyrings/debusine-0.gpg"`},
		{"signed, but not said so", "external", task.BootstrapOptions{UseSignedBy: &no}, []string{"Signed-By: /job/debusine-0.gpg"}, nil, "rm -f"},
		{"not checked", "no-check", task.BootstrapOptions{}, []string{"Trusted: yes"}, []string{"Trusted: yes"}, "rm -f"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, _ := newAttempt(t)
			r := repository{BootstrapRepository: repo(test.check), components: []string{"main", "contrib"}}
			if test.check == "external" {
				r.key, r.keyInside = "/job/debusine-0.gpg", "/etc/apt/keyrings/debusine-0.gpg"
			}
			m := &mmdebstrap{data: &task.MmdebstrapData{BootstrapOptions: test.options}, repos: []repository{r}}
			if err := m.writeInputs(a); err != nil {
				t.Fatal(err)
			}
			common := []string{"Types: deb", "URIs: http://mirror.example/debian", "Suites: trixie", "Components: main contrib"}
			wantLines(t, filepath.Join(a.folder.Path, "debusine.sources"), append(common, test.outside...))
			wantLines(t, filepath.Join(a.folder.Path, "final.sources"), append(common, test.inside...))
			if hook := m.hook(a); !strings.Contains(hook, test.hook) {
				t.Errorf("the hook lacks %q: %s", test.hook, hook)
			}
		})
	}
}

func wantLines(t *testing.T, path string, want []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(strings.ReplaceAll(string(text), " ", "_")); len(got) != len(want) {
		t.Errorf("%s: %q", path, text)
	}
	for _, line := range want {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("%q is missing in %s", line, text)
		}
	}
}

func TestBootstrapCommandLine(t *testing.T) {
	a, _ := newAttempt(t)
	m := &mmdebstrap{tar: "/job/system.tar.zst", data: &task.MmdebstrapData{BootstrapOptions: task.BootstrapOptions{
		Architecture: "i386", Variant: "buildd", ExtraPackages: []string{"fakeroot", "eatmydata"}, GpgvCommand: "gpgv-sq"}},
		repos: []repository{{BootstrapRepository: task.BootstrapRepository{Suite: "trixie", KeyringPackage: "some-keyring"}}}}
	argv := m.argv(a)
	for _, want := range []string{"setarch", "linux32", "--mode=unshare", "--format=tar", "--architectures=i386", "--variant=buildd",
		"--include=fakeroot,eatmydata,some-keyring", `--aptopt=APT::Key::gpgvcommand "gpgv-sq"`, "trixie", "/job/system.tar.zst"} {
		if !slices.Contains(argv, want) {
			t.Errorf("%s is missing in %q", want, argv)
		}
	}
}

func TestComponentsAreReadFromTheRelease(t *testing.T) {
	tests := []struct{ name, release, want string }{
		{"a Release", "Origin: Debian\nComponents: main contrib non-free-firmware\n", "main contrib non-free-firmware"},
		{"of an old security suite", "Components: updates/main updates/contrib\n", "main contrib"},
		{"none named", "Origin: Debian\n", ""},
		{"a web page", "<html>\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "InRelease")
			if err := os.WriteFile(path, []byte(test.release), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := componentsOf(path)
			if strings.Join(got, " ") != test.want || (err != nil) != (test.want == "") || err != nil && !isUnusable(err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestARepositoryAtTheEnvironmentsAddressHasItsKeys(t *testing.T) {
	const key = "Signed-By: /usr/share/keyrings/x.pgp\n"
	for name, c := range map[string]struct{ url, ours, want string }{
		"the same address":           {"http://mirror.example/debian", "Types: deb\nURIs: http://mirror.example/debian/\nSuites: sid\nComponents: main\n" + key + "\n", key},
		"an address that ends so":    {"http://mirror.example/debian/", "URIs: http://mirror.example/debian\n" + key, key},
		"another address":            {"http://mirror.example/debian-security", "URIs: http://mirror.example/debian\n" + key, ""},
		"a key that is of another":   {"http://mirror.example/a", "URIs: http://mirror.example/a\n\nURIs: http://mirror.example/b\n" + key, ""},
		"the second of two":          {"http://mirror.example/b", "URIs: http://mirror.example/a\nSigned-By: a\n\nURIs: http://mirror.example/b\n" + key, key},
		"a mirror that is not asked": {"http://mirror.example/b", "URIs: http://mirror.example/b\nTrusted: yes\n", "Trusted: yes\n"},
	} {
		folder := t.TempDir()
		ours, theirs := filepath.Join(folder, "ours"), filepath.Join(folder, "theirs")
		if err := os.WriteFile(ours, []byte(c.ours), 0o600); err != nil {
			t.Fatal(err)
		}
		script := strings.ReplaceAll(trustedAsTheEnvironment(c.url, theirs), "/etc/apt/sources.list.d/debusine.sources", ours)
		if said, err := exec.Command("sh", "-e", "-c", runInside(script)).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, said)
		}
		if got, _ := os.ReadFile(theirs); string(got) != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
