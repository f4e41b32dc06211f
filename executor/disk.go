package executor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How often the free space of the file system is asked for (which costs
// nothing), and how often at least the folder is walked.
const (
	freePace = 250 * time.Millisecond
	walkPace = 5 * time.Second
)

// diskWatch looks how much a folder takes. A walk of a chroot costs some 50 ms
// and takes at most one fiftieth of the time, unless the file system has lost
// as much as the folder may still take: then it is walked at once.
type diskWatch struct {
	dir     string
	limit   int64 // in bytes; none when not positive
	strikes chan<- strike
	open    func() int64 // bytes of files that were deleted and are still open

	peak, last int64 // bytes: the most that was seen, and what was seen last
	walked     time.Time
	took       time.Duration
	freeThen   int64 // when it was walked
}

func (d *diskWatch) watch(stop <-chan struct{}) {
	d.walked, d.freeThen = time.Now(), freeSpace(d.dir)
	reserve := min(DiskReserve, d.freeThen/100)
	tick := time.NewTicker(freePace)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		free := freeSpace(d.dir)
		if d.due(free) {
			d.walk(free)
		}
		switch {
		case d.limit > 0 && d.last > d.limit:
			d.strike(struckDisk(d.limit))
		case free >= 0 && free < reserve:
			d.strike(struckMachineDisk(reserve, d.dir))
		}
	}
}

// due tells whether to walk again.
func (d *diskWatch) due(free int64) bool {
	since := time.Since(d.walked)
	if since > max(walkPace, 50*d.took) {
		return true
	}
	lost := d.freeThen - free
	return d.limit > 0 && since > d.took && lost > max(d.limit-d.last, d.limit/16)
}

func (d *diskWatch) walk(free int64) {
	start := time.Now()
	d.last = diskUse(d.dir)
	if d.limit > 0 && d.last <= d.limit && d.freeThen-free > d.limit-d.last {
		d.last += d.open()
	}
	d.peak = max(d.peak, d.last)
	d.walked, d.took, d.freeThen = start, time.Since(start), free
}

func (d *diskWatch) strike(s strike) {
	select {
	case d.strikes <- s:
	default:
	}
}

// most is the most that was seen, for which even a short command is looked at
// once. watch must have ended.
func (d *diskWatch) most() int64 {
	if d.peak == 0 {
		// The caller's thread sees the job's mounts, and with them the layers that
		// the job has not made: others do not.
		walked := make(chan int64)
		go func() { walked <- diskUse(d.dir) }()
		d.peak = <-walked
	}
	return d.peak
}

// freeSpace is what root's processes leave to others on a file system, in
// bytes; -1 when it is not known.
func freeSpace(dir string) int64 {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return -1
	}
	return int64(stat.Bavail) * stat.Bsize
}

// diskUse counts blocks, not lengths, and a file with several names as often.
func diskUse(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went while we looked, or is closed to us
		}
		if info, err := entry.Info(); err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				total += stat.Blocks * 512
			}
		}
		return nil
	})
	return total
}

// deletedUse counts the blocks of files below dir that have no name any more
// and that a process which descends from first holds open.
func deletedUse(first int, dir string) int64 {
	var total int64
	seen := make(map[uint64]bool)
	for _, pid := range descendants(first) {
		held, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, path := range held {
			target, err := os.Readlink(path)
			if err != nil || !strings.HasSuffix(target, " (deleted)") || !strings.HasPrefix(target, "/") {
				continue
			}
			var stat, base syscall.Stat_t
			if syscall.Stat(path, &stat) != nil || syscall.Stat(dir, &base) != nil || stat.Dev != base.Dev && !inLayers(path) || seen[stat.Ino] {
				continue
			}
			seen[stat.Ino] = true
			total += stat.Blocks * 512
		}
	}
	return total
}

// inLayers tells whether an open file is the job's own among layers, which has
// another device's number.
func inLayers(path string) bool {
	var system syscall.Statfs_t
	return syscall.Statfs(path, &system) == nil && system.Type == unix.OVERLAYFS_SUPER_MAGIC
}

// ownerOf is the user id of a file's owner, or -1.
func ownerOf(info os.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
