package workeract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"debusine/api"
	"debusine/executor"
)

// DefaultReadySize is how much disk a worker spends on environments that are
// kept ready, in bytes.
const DefaultReadySize = 10 << 30

// ready keeps environments unpacked, so that a build need not unpack, fetch
// package lists and packages, and delete: it sees the sum of layers (package
// executor), the environment as its tarball has it and, above that, what apt
// has fetched for it since.
//
// The tarball's SHA-256, which the server says, is the root of trust. What was
// made of it is digested at once, the digest stays in this process's memory, and
// each use compares. So nothing on disk is believed that this process has not
// made; it starts with an empty folder, and a crash leaves nothing to repair.
// What has gone bad is made anew; what cannot be made is done without, as a
// worker does that keeps nothing ready.
//
// No build's own code has a part in it: the upper layer is made of the
// environment alone, by its own apt (fresh.go). Ages are counted, not read from
// a clock, or measured by one that does not jump.
type ready struct {
	machine *executor.Machine
	cache   *cache
	dir     string // only root can enter it: the files in it are set-user-id and whatever else
	size    int64  // bytes; 0: nothing is kept ready
	log     *slog.Logger
	proxy   string

	life context.Context // of what is done beside jobs
	end  context.CancelFunc
	work sync.WaitGroup

	refreshing sync.Mutex // one at a time

	mu     sync.Mutex
	stands map[int64]*stand // by the artifact's number
	uses   int64            // so far, to know what was used last
}

// stand is one environment kept ready.
type stand struct {
	making sync.Mutex // held while its base is made

	// Guarded by ready.mu.
	base, upper *layer // nil where there is none
	users       int
	used        int64
	fresh       freshness
}

// layer is a folder, and what was found in it when it was made.
type layer struct {
	path   string
	digest string
	size   int64
	users  int  // guarded by ready.mu
	gone   bool // to be removed when nobody uses it; guarded by ready.mu
}

// openReady empties the folder. A machine without layers keeps nothing ready.
func openReady(machine *executor.Machine, cache *cache, size int64, proxy string, log *slog.Logger) (*ready, error) {
	r := &ready{machine: machine, cache: cache, dir: filepath.Join(machine.Dir(), "ready"), size: max(size, 0), proxy: proxy, log: log, stands: map[int64]*stand{}}
	r.life, r.end = context.WithCancel(context.Background())
	if err := os.RemoveAll(r.dir); err != nil {
		return nil, fmt.Errorf("emptying the folder of environments kept ready: %w", err)
	}
	if err := machine.Layered(); err != nil && r.size > 0 {
		log.Info("environments are unpacked for each build; none is kept ready", "reason", err)
		r.size = 0
	}
	if r.size == 0 {
		return r, nil
	}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of environments kept ready: %w", err)
	}
	return r, nil
}

// close ends what is done beside jobs.
func (r *ready) close() {
	r.mu.Lock() // used adds no work after this
	r.end()
	r.mu.Unlock()
	r.work.Wait()
}

// layers gives those of an environment, the upper first, each of them compared
// with its digest; they stay until release is called. None and no error: this
// worker keeps none ready.
func (r *ready) layers(ctx context.Context, server Server, artifact api.Artifact) (paths []string, release func(), err error) {
	if r.size == 0 {
		return nil, func() {}, nil
	}
	s := r.take(artifact.ID)
	held, err := r.hold(ctx, server, artifact, s)
	if err != nil {
		r.leave(s, nil)
		return nil, nil, err
	}
	for _, l := range held {
		paths = append(paths, l.path)
	}
	return paths, sync.OnceFunc(func() { r.leave(s, held) }), nil
}

// hold finds what is there and good, and makes the base that is not.
func (r *ready) hold(ctx context.Context, server Server, artifact api.Artifact, s *stand) ([]*layer, error) {
	s.making.Lock()
	defer s.making.Unlock()
	held := r.current(s)
	good := held[:0:0]
	for _, l := range held {
		if err := l.check(); err != nil {
			r.log.Warn("an environment that was kept ready is not as it was made; it is made anew", "environment", artifact.ID, "error", err)
			r.drop(s, l)
			r.leaveLayer(l)
			continue
		}
		good = append(good, l)
	}
	if len(good) > 0 && good[len(good)-1] == r.baseOf(s) {
		return good, nil
	}
	for _, l := range good { // an upper layer without what it lies on
		r.drop(s, l)
		r.leaveLayer(l)
	}
	base, err := r.unpack(ctx, server, artifact)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.base = base
	base.users++
	return []*layer{base}, nil
}

func (r *ready) take(id int64) *stand {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, found := r.stands[id]
	if !found {
		s = &stand{}
		r.stands[id] = s
	}
	s.users++
	r.uses++
	s.used = r.uses
	return s
}

func (r *ready) leave(s *stand, held []*layer) {
	for _, l := range held {
		r.leaveLayer(l)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.users--
}

// current holds the layers of a stand, the upper first.
func (r *ready) current(s *stand) (held []*layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range []*layer{s.upper, s.base} {
		if l != nil {
			l.users++
			held = append(held, l)
		}
	}
	return held
}

func (r *ready) baseOf(s *stand) *layer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.base
}

// drop takes a layer off its stand. It is removed when the last job has left it.
func (r *ready) drop(s *stand, l *layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked(s, l)
}

func (r *ready) dropLocked(s *stand, l *layer) {
	if l == nil {
		return
	}
	if s.upper == l {
		s.upper, s.fresh.at, s.fresh.asked = nil, time.Time{}, 0
	}
	if s.base == l {
		s.base = nil
	}
	l.gone = true
	if l.users == 0 {
		r.remove(l)
	}
}

func (r *ready) leaveLayer(l *layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.users--; l.users == 0 && l.gone {
		r.remove(l)
	}
}

func (r *ready) remove(l *layer) {
	if err := os.RemoveAll(filepath.Dir(l.path)); err != nil {
		r.log.Error("a layer stays behind", "path", l.path, "error", err)
	}
}

// keep gives a folder that a job has made to the ready ones, digested.
func (r *ready) keep(path string, id int64) (*layer, error) {
	if info, err := os.Lstat(path); err != nil || !info.IsDir() {
		return nil, errors.Join(err, fmt.Errorf("%s is no folder any more", path))
	}
	place, err := os.MkdirTemp(r.dir, strconv.FormatInt(id, 10)+"-")
	if err != nil {
		return nil, err
	}
	l := &layer{path: filepath.Join(place, "tree")}
	if err = os.Rename(path, l.path); err == nil {
		l.digest, l.size, err = digestTree(l.path)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(place))
	}
	return l, nil
}

// check compares a layer with what it was when it was made.
func (l *layer) check() error {
	digest, _, err := digestTree(l.path)
	if err == nil && digest != l.digest {
		err = fmt.Errorf("%s has the digest %.16s…, not %.16s…", l.path, digest, l.digest)
	}
	return err
}

// room makes place for some bytes: within the size that the administrator
// allows, and so that builds have a tenth of what the disk would have free. What
// was used longest ago and is not in use goes first.
func (r *ready) room(bytes int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		total := r.total()
		free := freeSpace(r.dir)
		if total+bytes <= r.size && free-bytes >= (free+total)/10 {
			return nil
		}
		oldest := r.oldest()
		if oldest == 0 {
			return fmt.Errorf("there is no room for %d MiB more: %d of %d MiB are taken by others in use, and the disk has %d MiB free", bytes>>20, total>>20, r.size>>20, free>>20)
		}
		r.evict(oldest)
	}
}

// relieve gives up what is not in use while the disk has less free than it
// should: jobs need it more. There may be none.
func (r *ready) relieve() {
	if r == nil || r.size == 0 {
		return
	}
	if err := r.room(0); err != nil {
		r.log.Warn("the disk is nearly full", "error", err)
	}
}

// total is the size of all layers; r.mu is held.
func (r *ready) total() (sum int64) {
	for _, s := range r.stands {
		for _, l := range []*layer{s.base, s.upper} {
			if l != nil {
				sum += l.size
			}
		}
	}
	return sum
}

// oldest is the environment that was used longest ago, of those that have
// something and are not in use; 0 if there is none. r.mu is held.
func (r *ready) oldest() (found int64) {
	for id, s := range r.stands {
		if s.users == 0 && s.base != nil && (found == 0 || s.used < r.stands[found].used) {
			found = id
		}
	}
	return found
}

func (r *ready) evict(id int64) {
	s := r.stands[id]
	r.dropLocked(s, s.upper)
	r.dropLocked(s, s.base)
	delete(r.stands, id)
	r.log.Info("an environment is no longer kept ready: others need the room", "environment", id)
}

// KeepReady has environments kept unpacked in up to size bytes of disk; without
// it, or where the machine cannot, each build unpacks its own. It is for the
// start, before any job.
func (d *Doer) KeepReady(size int64) (err error) {
	proxy := ""
	if url := d.proxy["http_proxy"]; url != "" {
		proxy = aptProxy(url)
	}
	d.ready, err = openReady(d.machine, d.cache, size, proxy, d.log)
	return err
}

// Close ends what the Doer does beside jobs, which must have ended.
func (d *Doer) Close() { d.ready.close() }

// Ready are the numbers of the environments that are kept ready.
func (d *Doer) Ready() []int64 {
	d.ready.mu.Lock()
	defer d.ready.mu.Unlock()
	ids := []int64{}
	for id, s := range d.ready.stands {
		if s.base != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
