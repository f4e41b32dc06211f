package executor

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// watchDisk looks now and then how much a folder takes; the answer is the most
// that was seen, in bytes. A walk of a chroot costs some 50 ms, so it starts
// late and takes at most one fiftieth of the time.
func watchDisk(dir string) (most func() int64) {
	stop, answer := make(chan struct{}), make(chan int64, 1)
	go func() {
		var peak int64
		pause := 3 * time.Second
		for {
			select {
			case <-stop:
				if peak == 0 {
					peak = diskUse(dir)
				}
				answer <- peak
				return
			case <-time.After(pause):
			}
			start := time.Now()
			peak = max(peak, diskUse(dir))
			pause = max(5*time.Second, 50*time.Since(start))
		}
	}()
	return func() int64 { close(stop); return <-answer }
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

// ownerOf is the user id of a file's owner, or -1.
func ownerOf(info os.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
