package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// stopWithin bounds a clean stop: a worker's, then PostgreSQL's last checkpoint.
const stopWithin = 3 * time.Minute

// stopOther ends the stack that another process runs in the state folder, in
// order, and then what an earlier one left there. It answers what it did.
func stopOther(state string) (string, error) {
	abs, err := filepath.EvalSymlinks(state)
	if errors.Is(err, fs.ErrNotExist) {
		return "nothing runs: there is no state folder " + state, nil
	}
	if err == nil {
		abs, err = filepath.Abs(abs)
	}
	if err != nil {
		return "", fmt.Errorf("looking for the state folder: %w", err)
	}
	f := folder(abs)
	did := "nothing runs in " + abs
	if text, err := os.ReadFile(f.path("run", stackName+".pid")); err == nil {
		if id, err := parseIdentity(string(text)); err == nil && id.lives() {
			if err := syscall.Kill(id.pid, syscall.SIGTERM); err != nil {
				return "", fmt.Errorf("stopping process %d: %w; hint: stop it as the user who started it", id.pid, err)
			}
			for deadline := time.Now().Add(stopWithin); id.lives(); time.Sleep(glance) {
				if time.Now().After(deadline) {
					return "", fmt.Errorf("process %d did not stop within %s; hint: its log is %s", id.pid, stopWithin, f.path("log", stackName+".log"))
				}
			}
			did = "stopped the stack in " + abs
		}
	}
	lock, err := f.lock()
	if err != nil {
		return "", err
	}
	defer lock.Close()
	ended, err := f.endLeftovers(20 * time.Second)
	if err == nil && len(ended) > 0 {
		did += fmt.Sprintf("; ended %v, left by an earlier one", ended)
	}
	return did, err
}
