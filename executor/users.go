package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// builderLocks is where workers of one machine agree who uses which build user.
// Only root can enter it; it goes with the machine's next start, as jobs do.
const builderLocks = "/run/debusine/build-users"

// mostBuilders bounds how many build users are made, and so how many jobs may
// run on one machine at once.
const mostBuilders = 256

// takeBuilder gives a user that no other job of the machine has: files,
// processes, keys and the kernel's own limits by user are apart even where a
// namespace fails. Users are made as they are needed. Without root all jobs are
// the worker's own user.
func (m *Machine) takeBuilder() (builder, func(), error) {
	if !m.root {
		return m.builder, func() {}, nil
	}
	if err := os.MkdirAll(builderLocks, 0o700); err != nil {
		return builder{}, nil, fmt.Errorf("making the folder of locks of build users: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for n := 1; n <= mostBuilders; n++ {
		name := buildUser
		if n > 1 {
			name = fmt.Sprintf("%s-%d", buildUser, n)
		}
		lock, err := lockFile(filepath.Join(builderLocks, name))
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return builder{}, nil, fmt.Errorf("taking build user %s: %w", name, err)
		}
		who, err := findBuilder(ctx, name)
		if err == nil {
			err = clearKeys(who.uid)
		}
		if err != nil {
			lock.Close()
			return builder{}, nil, err
		}
		return who, func() { lock.Close() }, nil
	}
	return builder{}, nil, fmt.Errorf("all %d build users of this machine have a job", mostBuilders)
}

// lockFile makes and locks a file; EWOULDBLOCK when another has it.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// clearKeys empties the keyrings that belong to a user and not to a process:
// what a job put there, the next would find. keyrings(7).
func clearKeys(uid int) error {
	var failed error
	onThread(func() {
		// Of this thread alone, unlike syscall.Setresuid; it is thrown away.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			failed = fmt.Errorf("clearing the keys of a build user: %w", errno)
			return
		}
		rings := []int{unix.KEY_SPEC_USER_KEYRING, unix.KEY_SPEC_USER_SESSION_KEYRING}
		if ring, err := unix.KeyctlInt(unix.KEYCTL_GET_PERSISTENT, -1, unix.KEY_SPEC_PROCESS_KEYRING, 0, 0); err == nil {
			rings = append(rings, ring)
		}
		for _, ring := range rings {
			_, err := unix.KeyctlInt(unix.KEYCTL_CLEAR, ring, 0, 0, 0)
			if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.ENOKEY) {
				failed = errors.Join(failed, fmt.Errorf("clearing the keys of a build user: %w", err))
			}
		}
	})
	return failed
}

// ownKeys gives the calling thread, and what it starts, a session keyring of
// its own: the worker's may hold its administrator's keys.
func ownKeys() error {
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("giving the job a keyring of its own: %w", err)
	}
	return nil
}
