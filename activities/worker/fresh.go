package workeract

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"debusine/api"
	"debusine/executor"
)

// freshness is what a stand's upper layer is to hold, and how old it is.
type freshness struct {
	at     time.Time // zero: never; compared by the clock that does not jump
	wanted []string  // packages that builds have installed: "libfoo:amd64"
	asked  int       // how many of them the upper layer was made for
	busy   bool
}

const (
	freshFor     = 10 * time.Minute // then package lists are brought up to date after the next build
	mostWanted   = 1000             // packages of one environment
	refreshLimit = 10 * time.Minute // of wall time

	// mostFetched bounds what a mirror and the names in logs can fill the disk with,
	// in bytes. Up to 2 GiB of packages are there already and are copied into the new
	// layer; as much again, with lists, is written to the root and then copied, too.
	mostFetched = 6 << 30
)

// unpack makes the base of an environment of its tarball, which the cache has
// checked, as sbuild would: by the same tar, with the same ids, and with the
// users that sbuild makes where they are missing.
func (r *ready) unpack(ctx context.Context, server Server, artifact api.Artifact) (*layer, error) {
	tarball, release, err := r.cache.environment(ctx, server, artifact)
	if err != nil {
		return nil, err
	}
	defer release()
	info, err := os.Stat(tarball)
	if err != nil {
		return nil, err
	}
	if err := r.room(4 * info.Size()); err != nil {
		return nil, err
	}
	return r.makeLayer(ctx, artifact.ID, nil, executor.Limits{}, func(f *executor.Folder, tree string) []string {
		return f.AsRoot("sh", "-ec", unpackScript, "sh", tarball, tree)
	})
}

const unpackScript = `
tarball=$1; tree=$2
tar --exclude=./dev/urandom --exclude=./dev/random --exclude=./dev/full --exclude=./dev/null --exclude=./dev/console \
	--exclude=./dev/zero --exclude=./dev/tty --exclude=./dev/ptmx --directory "$tree" --extract --file "$tarball"
grep -q '^sbuild:' "$tree/etc/group" || groupadd --root "$tree" --system sbuild
grep -q '^sbuild:' "$tree/etc/passwd" || useradd --root "$tree" --system --home-dir /var/lib/sbuild --no-create-home \
	--shell /bin/bash --gid sbuild --comment 'Debian source builder,,,' sbuild
`

// nothingNew is what a script ends with that has made no layer worth keeping.
const nothingNew = 77

// errNothingNew says that a layer would be the one that is there already.
var errNothingNew = errors.New("nothing is new")

// makeLayer runs a command that fills a folder, and keeps that.
func (r *ready) makeLayer(ctx context.Context, id int64, below []string, limits executor.Limits, argv func(f *executor.Folder, tree string) []string) (*layer, error) {
	f, err := r.machine.NewFolder(0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := f.Remove(); err != nil {
			r.log.Error("a work folder stays behind", "path", f.Path, "error", err)
		}
	}()
	tree, err := f.NewTree("tree")
	if err != nil {
		return nil, err
	}
	output := filepath.Join(f.Path, "output")
	ran, err := r.machine.Run(ctx, executor.Command{Argv: argv(f, tree), Folder: f, Layers: below, Output: output, OutputLimit: 4 << 20, Limit: refreshLimit, Limits: limits})
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case ran.ExitCode == nothingNew:
		return nil, errNothingNew
	case !ran.Succeeded():
		said, _ := os.ReadFile(output)
		return nil, fmt.Errorf("exit code %d %s: %s", ran.ExitCode, ran.Reason, clip(said[max(0, len(said)-wordsSize):]))
	}
	return r.keep(tree, id)
}

// used notes what a build has installed of an environment, and brings what is
// kept of it up to date beside the next jobs, if that is due.
func (r *ready) used(id int64, installed []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stands[id]
	if s == nil || s.base == nil || s.fresh.busy || r.life.Err() != nil {
		return
	}
	installed = installed[:min(len(installed), mostWanted)] // of a log that a package may write in
	for _, name := range installed {
		if !slices.Contains(s.fresh.wanted, name) {
			s.fresh.wanted = append(s.fresh.wanted, name)
		}
	}
	if len(s.fresh.wanted) > mostWanted {
		s.fresh.wanted = slices.Clone(installed) // what is no longer built goes, too
	}
	if !s.fresh.at.IsZero() && time.Since(s.fresh.at) < freshFor && s.fresh.asked == len(s.fresh.wanted) {
		return
	}
	s.fresh.busy = true
	s.users++
	r.work.Go(func() { r.refresh(id, s) })
}

// refresh makes an upper layer anew: package lists as they are now, and packages
// that builds are likely to want, as apt has verified them.
func (r *ready) refresh(id int64, s *stand) {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	held := r.current(s)
	defer r.leave(s, held)
	r.mu.Lock()
	wanted := slices.Clone(s.fresh.wanted)
	before := s.upper
	r.mu.Unlock()
	began := time.Now()
	made, err := r.fetch(id, held, wanted)
	r.mu.Lock()
	defer r.mu.Unlock()
	s.fresh.busy = false
	if err == nil || errors.Is(err, errNothingNew) {
		s.fresh.at, s.fresh.asked = began, len(wanted)
	}
	switch {
	case errors.Is(err, errNothingNew) || r.life.Err() != nil && err != nil:
		return
	case err != nil:
		r.log.Warn("what apt would fetch could not be kept ready", "environment", id, "error", err)
		return
	}
	if len(held) == 0 || s.base != held[len(held)-1] { // it lies on another by now
		made.gone = true
		r.remove(made)
		return
	}
	fresh := s.fresh
	r.dropLocked(s, before)
	s.upper, s.fresh = made, fresh
	r.log.Info("an environment is fresh", "environment", id, "packages", len(wanted), "took", time.Since(began))
}

func (r *ready) fetch(id int64, held []*layer, wanted []string) (*layer, error) {
	var below []string
	for _, l := range held {
		if err := l.check(); err != nil {
			return nil, err // the next build makes it anew
		}
		below = append(below, l.path)
	}
	if len(below) == 0 {
		return nil, errNothingNew
	}
	if err := r.room(512 << 20); err != nil {
		return nil, err
	}
	return r.makeLayer(r.life, id, below, executor.Limits{Disk: mostFetched}, func(f *executor.Folder, tree string) []string {
		return f.AsRoot(append([]string{"sh", "-ec", freshScript, "sh", f.Root(), tree, r.proxy}, wanted...)...)
	})
}

// freshScript lets the environment's own apt do what it does in a build, and
// takes from it what apt keeps. Packages that cannot be had, or not together, are
// asked for one by one.
const freshScript = `
root=$1; tree=$2; proxy=$3; shift 3
for f in null zero full random urandom tty; do
	touch "$root/dev/$f"
	mount -o bind "/dev/$f" "$root/dev/$f"
done
mount -t proc proc "$root/proc"
rm -f "$root/etc/resolv.conf"
cat /etc/resolv.conf > "$root/etc/resolv.conf"
test -z "$proxy" || printf '%s\n' "$proxy" > "$root/etc/apt/apt.conf.d/99debusine-proxy"
state() { cd "$root" && find var/lib/apt/lists var/cache/apt/archives -maxdepth 1 -type f ! -name lock -printf '%p %s %T@\n' | sort; }
before=$(state)
chroot "$root" sh -ec '
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
options="-o Acquire::Languages=none -o APT::Install-Recommends=false -o APT::Keep-Downloaded-Packages=true"
apt-get $options update
test "$(du -sm /var/cache/apt/archives | cut -f1)" -lt 2048 || apt-get $options clean
apt-get $options autoclean
test $# = 0 || apt-get $options install --yes --download-only "$@" ||
	for package; do apt-get $options install --yes --download-only "$package" || true; done
' sh "$@"
test "$before" != "$(state)" || exit 77
cd "$root"
tar --create --format=pax --no-recursion . var var/lib var/lib/apt var/cache \
	--recursion var/lib/apt/lists var/cache/apt | tar --extract --preserve-permissions --directory "$tree"
`

// dropPackages has a build see none of the packages that were kept for it and
// that it did not ask for.
const dropPackages = "--starting-build-commands=rm -f /var/cache/apt/archives/*.deb"

// asUser makes the user that sbuild builds as, who has the name of the job's own,
// as sbuild would have in what it unpacks, and then runs a command.
func asUser(f *executor.Folder, argv []string) []string {
	words := f.AsRoot("sh", "-ec", userScript, "sh", f.Root())
	for i, word := range words {
		words[i] = quote(word)
	}
	return append([]string{"sh", "-ec", strings.Join(words, " ") + "\nexec \"$@\"", "sh"}, argv...)
}

const userScript = `
grep -q "^$USER:" "$1/etc/passwd" || useradd --root "$1" --system --home-dir /var/lib/sbuild --no-create-home \
	--shell /bin/bash --gid sbuild --comment 'Debian source builder,,,' "$USER"
`

// emptyTarball makes one.
func emptyTarball(f *executor.Folder) (string, error) {
	path := filepath.Join(f.Path, "empty.tar")
	return path, os.WriteFile(path, make([]byte, 10<<10), 0o644)
}
