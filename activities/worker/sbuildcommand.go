package workeract

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"debusine/debian"
	"debusine/executor"
)

// command is that of spec §3.1. --nolog sends the log to stdout alone, where
// the executor bounds it and keeps it out of the build's reach.
func (s *sbuild) command(a *attempt) (executor.Command, error) {
	room, err := s.room(a)
	if err != nil {
		return executor.Command{}, err
	}
	s.buildFiles = room.build
	config := filepath.Join(a.folder.Path, "sbuildrc")
	if err := os.WriteFile(config, []byte(room.config+sbuildrc), 0o644); err != nil {
		return executor.Command{}, err
	}
	options, err := s.options(time.Now())
	if err != nil {
		return executor.Command{}, err
	}
	argv := slices.Concat([]string{"sbuild", "--nolog", "--purge-deps=never", "--no-run-lintian"}, s.what(),
		[]string{"--dist=" + s.codename}, room.options, s.chrootSetup(a.proxy["http_proxy"], room.unmirror),
		options, []string{"--bd-uninstallable-explainer=dose3"})
	for _, path := range s.extra {
		argv = append(argv, "--extra-package="+path)
	}
	if len(s.layers) > 0 {
		argv = append(argv, dropPackages)
	}
	env := map[string]string{"SBUILD_CONFIG": config}
	if options := s.data.Options(); options != "" {
		env["DEB_BUILD_OPTIONS"] = options
	}
	argv, err = room.around(append(personality(s.data.BuildArchitecture), append(argv, s.dsc)...))
	return a.machine.WithBackend(executor.Command{Argv: argv, Env: env, Layers: s.layers}, s.backend()), err
}

// what are the options that say what is built, and where for.
func (s *sbuild) what() (argv []string) {
	for _, component := range []string{"any", "all"} {
		argv = append(argv, choice(slices.Contains(s.data.BuildComponents, component), "arch-"+component))
	}
	argv = append(argv, choice(slices.Contains(s.data.BuildComponents, "source"), "source"))
	if s.data.HostArchitecture != "" {
		return append(argv, "--build="+s.data.BuildArchitecture, "--host="+s.data.HostArchitecture)
	}
	return append(argv, "--arch="+s.data.BuildArchitecture)
}

// options are those that a build need not have. A rebuild's whole changelog
// entry is given, because sbuild writes the architecture into those that it
// makes up.
func (s *sbuild) options(begun time.Time) (argv []string, err error) {
	d := s.data
	if profiles := d.Profiles(); len(profiles) > 0 {
		argv = append(argv, "--profiles="+strings.Join(profiles, ","))
	}
	if d.BuildPath != "" {
		argv = append(argv, "--build-path="+d.BuildPath)
	}
	if d.BuildDepResolver != "" {
		argv = append(argv, "--build-dep-resolver="+d.BuildDepResolver)
	}
	if d.AspcudCriteria != "" {
		argv = append(argv, "--aspcud-criteria="+d.AspcudCriteria)
	}
	if d.ResolveAlternatives {
		argv = append(argv, "--resolve-alternatives")
	}
	if d.BinNMU == nil {
		return argv, nil
	}
	version, err := debian.ParseVersion(s.version)
	if err != nil {
		return nil, unusablef("artifact %d: %v", s.source.ID, err)
	}
	entry, err := d.BinNMU.Entry(s.name, version, s.codename, begun)
	if err != nil {
		return nil, unusablef("the version of the rebuild: %v", err)
	}
	s.wanted = entry.Version.String()
	return append(argv, "--binNMU-changelog="+entry.String()), nil
}

// chrootSetup are what root of the chroot does before packages are looked at.
// Texts travel in base64, in which neither shell nor sbuild finds a meaning.
func (s *sbuild) chrootSetup(proxy string, unmirror bool) []string {
	commands := []string{}
	if unmirror {
		commands = append(commands, "rm -f /etc/resolv.conf")
	}
	if proxy != "" {
		commands = append(commands, writeInside("/etc/apt/apt.conf.d/99debusine-proxy", aptProxy(proxy)+"\n"))
	}
	for i, r := range s.data.ExtraRepositories {
		key := ""
		if r.SigningKey != "" && slices.Contains(withoutInlineKeys, s.codename) {
			key = fmt.Sprintf("/etc/apt/keyrings/extra_apt_key_%d.asc", i)
			commands = append(commands, "mkdir -p /etc/apt/keyrings", writeInside(key, strings.TrimSpace(r.SigningKey)+"\n"))
		}
		path := fmt.Sprintf("/etc/apt/sources.list.d/extra_repository_%d.sources", i)
		commands = append(commands, writeInside(path, r.Sources(key)))
		if r.SigningKey == "" {
			commands = append(commands, runInside(trustedAsTheEnvironment(r.URL, path)))
		}
	}
	for i, c := range commands {
		commands[i] = "--chroot-setup-commands=" + c
	}
	return commands
}

// withoutInlineKeys are the codenames whose apt is older than 2.3.10.
var withoutInlineKeys = []string{"stretch", "buster", "bullseye", "xenial", "bionic", "focal"}

func writeInside(path, text string) string {
	return "echo " + base64.StdEncoding.EncodeToString([]byte(text)) + " | base64 -d > " + path
}

func runInside(script string) string {
	return "echo " + base64.StdEncoding.EncodeToString([]byte(script)) + " | base64 -d | sh"
}

// trustedAsTheEnvironment gives a repository that comes without a key, at the very
// address that the environment was made from, the keys of the environment's own
// sources. The address is of letters without a meaning to shell and awk.
func trustedAsTheEnvironment(url, path string) string {
	return `test ! -e /etc/apt/sources.list.d/debusine.sources || awk -v "url=` + strings.TrimRight(url, "/") + `" '` +
		`/^$/ { ours = 0 } $1 == "URIs:" { sub("/*$", "", $2); ours = ($2 == url) } ours && /^(Signed-By|Trusted):/ { print; exit }' ` +
		"/etc/apt/sources.list.d/debusine.sources >> " + path + "\n"
}

// sbuildrc keeps the chroot in the work folder, which goes with the job. What
// the administrator's /etc/sbuild/sbuild.conf says still holds.
const sbuildrc = `$unshare_tmpdir_template = "$ENV{TMPDIR}/tmp.sbuild.XXXXXXXXXX";
1;
`

func choice(yes bool, name string) string {
	if yes {
		return "--" + name
	}
	return "--no-" + name
}

// personality makes uname(2) say a 32-bit machine where packages must not see
// the 64-bit one that builds them: setarch(8).
func personality(arch string) []string {
	if slices.Contains([]string{"i386", "armel", "armhf"}, arch) {
		return []string{"setarch", "linux32"}
	}
	return nil
}

// inNewFolder runs argv in a folder that the build user makes in its own.
func inNewFolder(name string, argv []string) []string {
	return append([]string{"sh", "-c", `mkdir "$0" && cd "$0" && exec "$@"`, name}, argv...)
}

// aptProxy is a line of apt's configuration, safe between single quotes.
func aptProxy(url string) string {
	return `Acquire::http::Proxy "` + strings.NewReplacer(`'`, "", `"`, "", "\n", "").Replace(url) + `";`
}
