package workeract

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"debusine"
	"debusine/debian"
	"debusine/executor"
	"debusine/task"
)

// mmdebstrap makes a build environment: spec §3.2.
type mmdebstrap struct {
	data  *task.MmdebstrapData
	repos []repository
	facts string // what the hook found out about the chroot
	tar   string
	file  string   // the name of the tarball; tarName when empty
	hooks []string // options of mmdebstrap that run before the one that ends it
}

// repository is a source of packages with what had to be found out about it.
type repository struct {
	task.BootstrapRepository
	components []string
	key        string    // path of the keyring on this machine; empty without one
	keyInside  string    // where it lies in the chroot; empty when it does not
	date       time.Time // of its Release file; zero when that says none
}

func (m *mmdebstrap) subject() int64 { return 0 }

// tarName is what the artifact's file is called. zstd unpacks four times as
// fast as xz, which each build pays for; sbuild and tar tell by the name.
const tarName = "system.tar.zst"

// setup finds components and keyrings, and writes what mmdebstrap reads.
func (m *mmdebstrap) setup(ctx context.Context, a *attempt) (executor.Command, error) {
	for i, repo := range m.data.BootstrapRepositories {
		found, err := m.explore(ctx, a, i, repo)
		if err != nil {
			return executor.Command{}, err
		}
		m.repos = append(m.repos, found)
	}
	m.tar = filepath.Join(a.folder.Work, m.tarball())
	if err := m.writeInputs(a); err != nil {
		return executor.Command{}, err
	}
	return executor.Command{Argv: m.argv(a), Env: m.environment(a)}, nil
}

// explore fetches a repository's keyring and asks its Release file: for its date
// and, where none are named, for its components.
func (m *mmdebstrap) explore(ctx context.Context, a *attempt, i int, repo task.BootstrapRepository) (repository, error) {
	r := repository{BootstrapRepository: repo, components: repo.Components}
	if repo.CheckSignatureWith == "system" {
		r.key = systemKeyring()
		r.keyInside = r.key
	}
	if repo.CheckSignatureWith == "external" {
		if err := r.fetchKey(ctx, a, i); err != nil {
			return r, err
		}
	}
	release, err := a.fetchRelease(ctx, i, repo)
	wanted := len(r.components) == 0 && !strings.HasSuffix(repo.Suite, "/")
	if errors.As(err, &unusable{}) && !wanted {
		return r, nil // apt decides whether it can do without
	}
	if err != nil {
		return r, err
	}
	r.date = dateOf(release)
	if wanted {
		r.components, err = componentsOf(release)
	}
	return r, err
}

// systemKeyring is where Debian 13 and later keep the archive's keys; before,
// apt trusts them by itself and no keyring needs to be named.
func systemKeyring() string {
	trusted, _ := filepath.Glob("/etc/apt/trusted.gpg.d/*")
	for _, path := range []string{"/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"} {
		if _, err := os.Stat(path); err == nil && len(trusted) == 0 {
			return path
		}
	}
	return ""
}

func (r *repository) fetchKey(ctx context.Context, a *attempt, i int) error {
	suffix := ".asc"
	if strings.HasSuffix(r.Keyring.URL, ".gpg") || strings.HasSuffix(r.Keyring.URL, ".pgp") {
		suffix = ".gpg"
	}
	name := fmt.Sprintf("debusine-%d%s", i, suffix)
	path, local := strings.CutPrefix(r.Keyring.URL, "file://")
	if local {
		data, err := os.ReadFile(path)
		if err != nil {
			return unusablef("keyring %s: %v", r.Keyring.URL, err)
		}
		r.key = filepath.Join(a.folder.Path, name)
		if err := os.WriteFile(r.key, data, 0o644); err != nil {
			return err
		}
	} else {
		fetched, err := a.fetchURL(ctx, r.Keyring.URL, name, r.Keyring.SHA256Sum)
		if err != nil {
			return err
		}
		r.key = fetched
	}
	r.keyInside = "/etc/apt/keyrings/" + name
	return nil
}

// fetchURL downloads as the build user in the job's network: what a task names
// must not be fetched from where the machine's own services can be reached.
func (a *attempt) fetchURL(ctx context.Context, url, name, sha256 string) (string, error) {
	to := filepath.Join(a.folder.Work, name)
	argv := []string{"/usr/lib/apt/apt-helper", "download-file", url, to}
	if sha256 != "" {
		argv = append(argv, "SHA256:"+sha256)
	}
	log := filepath.Join(a.folder.Path, "fetch-"+name+".log")
	ran, err := a.machine.Run(ctx, executor.Command{Argv: argv, Env: a.proxy, Folder: a.folder, Output: log, Limit: a.job.Limit})
	if err != nil {
		return "", err
	}
	if ran.Cancelled {
		return "", context.Cause(ctx)
	}
	if !ran.Succeeded() {
		said, _ := os.ReadFile(log)
		a.debug[filepath.Base(log)] = log
		if away := aptWords(said).mirror; away != "" && !strings.Contains(away, "Hash Sum mismatch") {
			return "", mirrorAway{away}
		}
		return "", unusablef("%s cannot be fetched: %s", url, clip(said[max(0, len(said)-100):]))
	}
	return to, nil
}

// componentsOf reads what a suite consists of.
func componentsOf(path string) ([]string, error) {
	file, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := debian.ReadClearsigned(file, 4<<20)
	if err != nil {
		return nil, unusablef("the Release file cannot be read: %v", err)
	}
	release, err := debian.NewReader(strings.NewReader(string(text))).Next()
	if err != nil {
		return nil, unusablef("the Release file cannot be read: %v", err)
	}
	var components []string
	for _, name := range strings.Fields(release.Get("Components")) {
		components = append(components, name[strings.LastIndex(name, "/")+1:]) // updates/main: of old security suites
	}
	if len(components) == 0 {
		return nil, unusablef("the Release file names no components; hint: name them in the task")
	}
	return components, nil
}

// writeInputs writes apt's sources as mmdebstrap and as the chroot sees them,
// and the hook that ends the bootstrap.
func (m *mmdebstrap) writeInputs(a *attempt) error {
	m.facts = filepath.Join(a.folder.Work, "facts")
	var outside, inside strings.Builder
	for _, repo := range m.repos {
		repo.write(&outside, repo.key)
		key := ""
		if m.signedBy() {
			key = repo.keyInside
		}
		repo.write(&inside, key)
	}
	files := map[string]string{"debusine.sources": outside.String(), "final.sources": inside.String(),
		"hook": m.hook(a), "customize": m.data.CustomizationScript}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(a.folder.Path, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	// The hook is root of a user namespace, which is neither us nor the build user.
	if err := os.WriteFile(m.facts, nil, 0o666); err != nil {
		return err
	}
	return os.Chmod(m.facts, 0o666)
}

func (m *mmdebstrap) signedBy() bool {
	return m.data.BootstrapOptions.UseSignedBy == nil || *m.data.BootstrapOptions.UseSignedBy
}

// write adds the repository in the form of sources.list(5).
func (r repository) write(to *strings.Builder, key string) {
	fmt.Fprintf(to, "Types: %s\nURIs: %s\nSuites: %s\n", strings.Join(r.Types, " "), r.Mirror, r.Suite)
	if len(r.components) > 0 {
		fmt.Fprintf(to, "Components: %s\n", strings.Join(r.components, " "))
	}
	if key != "" {
		fmt.Fprintf(to, "Signed-By: %s\n", key)
	}
	if r.CheckSignatureWith == "no-check" {
		to.WriteString("Trusted: yes\n")
	}
	to.WriteString("\n")
}

// argv is mmdebstrap's command line. The sources come as a file; the suite is
// only a name then.
func (m *mmdebstrap) argv(a *attempt) []string {
	o := m.data.BootstrapOptions
	argv := append(personality(o.Architecture), "mmdebstrap", "--mode=unshare", "--format=tar", "--verbose", "--architectures="+o.Architecture)
	if o.Variant != "" {
		argv = append(argv, "--variant="+o.Variant)
	}
	include := append([]string(nil), o.ExtraPackages...)
	for _, repo := range m.repos {
		if repo.KeyringPackage != "" {
			include = append(include, repo.KeyringPackage)
		}
	}
	if len(include) > 0 {
		argv = append(argv, "--include="+strings.Join(include, ","))
	}
	if o.GpgvCommand != "" {
		argv = append(argv, "--aptopt=APT::Key::gpgvcommand \""+o.GpgvCommand+"\"")
	}
	argv = append(argv, m.hooks...)
	return append(argv, "--customize-hook=sh "+quote(filepath.Join(a.folder.Path, "hook"))+" \"$1\"",
		m.repos[0].Suite, m.tar, filepath.Join(a.folder.Path, "debusine.sources"))
}

// explainBootstrap says why there is no environment.
func (a *attempt) explainBootstrap(ran executor.Result) (debusine.Result, error) {
	end, err := tailOf(a.logPath(), summarySize)
	if err != nil {
		return "", fmt.Errorf("reading mmdebstrap's log: %w", err)
	}
	if away := aptWords(end).mirror; away != "" {
		a.errors = append(a.errors, debusine.TaskError{Message: mirrorAway{away}.Error(), Code: "mirror-failed"})
		return debusine.TemporaryFailure, nil
	}
	a.errors = append(a.errors, debusine.TaskError{
		Message: because(fmt.Sprintf("mmdebstrap ended with exit code %d", ran.ExitCode), lastError(end)), Code: "bootstrap-failed"})
	return debusine.Failure, nil
}

// teardown uploads the tarball with what the hook has found out.
func (m *mmdebstrap) teardown(ctx context.Context, a *attempt, ran executor.Result) (debusine.Result, error) {
	if !ran.Succeeded() {
		a.debug["cmd-output.log"] = a.logPath()
		switch ran.Struck {
		case "":
		case executor.MachineDisk: // not the bootstrap's fault
			a.errors = append(a.errors, debusine.TaskError{Message: ran.Reason, Code: "disk-full"})
			return debusine.TemporaryFailure, nil
		default:
			return debusine.Failure, nil // said already
		}
		return a.explainBootstrap(ran)
	}
	data, err := m.describe()
	if err != nil {
		return "", err
	}
	return a.uploadSystem(ctx, a.folder.Work, tarName, debusine.CategorySystemTarball, data)
}
