package workeract

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// node is what a tree's digest says of one file.
type node struct {
	name    string
	stat    syscall.Stat_t
	content string // the sum of a plain file's; a link's target
	rights  string // capabilities(7) that the file gives
}

// digestTree sums up a tree of files: names, kinds, modes, owners, times,
// capabilities and contents. size is what it takes on disk. No link is followed.
func digestTree(root string) (digest string, size int64, err error) {
	nodes, err := listTree(root)
	if err != nil {
		return "", 0, err
	}
	var (
		group errgroup.Group
		next  atomic.Int64
	)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			buffer := make([]byte, 256<<10)
			for i := next.Add(1) - 1; i < int64(len(nodes)); i = next.Add(1) - 1 {
				if err := nodes[i].read(root, buffer); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return "", 0, err
	}
	sum := sha256.New()
	for _, n := range nodes {
		size += n.stat.Blocks * 512
		length := n.stat.Size
		if n.stat.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			length = 0 // the file system's own affair
		}
		fmt.Fprintf(sum, "%q %o %d %d %d %d %d.%09d %q %q\n", n.name, n.stat.Mode, n.stat.Uid, n.stat.Gid, n.stat.Rdev, length,
			n.stat.Mtim.Sec, n.stat.Mtim.Nsec, n.content, n.rights)
	}
	return hex.EncodeToString(sum.Sum(nil)), size, nil
}

// listTree gives all files in the order of their names.
func listTree(root string) (nodes []node, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		n := node{name: name}
		if err := syscall.Lstat(path, &n.stat); err != nil {
			return fmt.Errorf("looking at %s: %w", path, err)
		}
		nodes = append(nodes, n)
		return nil
	})
	return nodes, err
}

// read fills in what the file holds.
func (n *node) read(root string, buffer []byte) error {
	path := filepath.Join(root, n.name)
	switch n.stat.Mode & syscall.S_IFMT {
	case syscall.S_IFLNK:
		target, err := os.Readlink(path)
		n.content = target
		return err
	case syscall.S_IFREG:
	default:
		return nil
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{file}, buffer); err != nil {
		return err
	}
	n.content = string(sum.Sum(nil))
	if length, err := unix.Fgetxattr(int(file.Fd()), "security.capability", buffer); err == nil {
		n.rights = string(buffer[:length])
	}
	return nil
}
