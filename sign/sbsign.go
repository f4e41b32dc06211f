package sign

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"debusine"
)

// signUEFI has sbsign(1) sign. Key and certificate reach it through files that
// are memory alone and have no name.
func (r request) signUEFI(now time.Time) error {
	certificate, err := readX509(r.Public)
	if err != nil {
		return err
	}
	if err := validNow(certificate, now); err != nil {
		return err
	}
	if r.Key.Storage == PKCS11 {
		return debusine.Invalid{What: "keys in hardware sign no UEFI executables in this release", Hint: "use a key that is kept here for the purpose uefi"}
	}
	program, err := sbsign()
	if err != nil {
		return err
	}
	if err := checkImage(r.File); err != nil {
		return err
	}
	private, err := r.private()
	if err != nil {
		return err
	}
	key, err := inMemory("key", private)
	if err != nil {
		return err
	}
	defer key.Close()
	public, err := inMemory("certificate", r.Public)
	if err != nil {
		return err
	}
	defer public.Close()
	args := []string{"--key", "/proc/self/fd/3", "--cert", "/proc/self/fd/4", "--output", r.To}
	switch r.Mode {
	case Attached:
	case Detached:
		args = append(args, "--detached")
	default:
		return debusine.Invalidf("mode must be attached or detached, not %.40q", r.Mode)
	}
	command := exec.Command(program[0], append(append(program[1:], args...), r.File)...)
	command.ExtraFiles = []*os.File{key, public}
	// sbsign's own words stay here: they are about a file with a key.
	err = command.Run()
	if errors.As(err, new(*exec.ExitError)) {
		return debusine.Invalidf("sbsign refused the file: is it a PE executable?")
	}
	return err
}

// What sbsign may take for one file: it holds it in memory, twice.
const (
	sbsignMemory  = 3 * longestImage // bytes of address space
	sbsignSeconds = 60               // of the processor
)

// sbsign is the command's beginning. prlimit(1) bounds it before its first
// instruction, which we cannot do to a program that we start.
func sbsign() ([]string, error) {
	path, err := exec.LookPath("sbsign")
	if err != nil {
		return nil, debusine.Missing{What: "the program sbsign", Hint: "apt install sbsigntool"}
	}
	return []string{"/usr/bin/prlimit", fmt.Sprintf("--as=%d", sbsignMemory), fmt.Sprintf("--cpu=%d", sbsignSeconds), "--nproc=0", path}, nil
}

// inMemory is a file without a name on any disk.
func inMemory(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(content, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("filling a file in memory: %w", err), f.Close())
	}
	return f, nil
}
