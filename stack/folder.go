package stack

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// folder is a state folder, an absolute path without links.
type folder string

func (f folder) path(elem ...string) string {
	return filepath.Join(append([]string{string(f)}, elem...)...)
}

// rootStates is where root's state folders lie.
const rootStates = "/var/lib/debusine"

// defaultState answers the state folder of the checkout (or other folder) home.
// Root's is elsewhere, since homes are closed to the users of PostgreSQL and of
// the builds; link is then the name in home that should lead there.
func defaultState(home string, root bool) (state, link string) {
	if !root {
		return filepath.Join(home, ".state"), ""
	}
	sum := sha256.Sum256([]byte(home))
	return filepath.Join(rootStates, hex.EncodeToString(sum[:6])), filepath.Join(home, ".state")
}

// openFolder makes the folder and everything in it that the stack itself keeps.
func openFolder(state string) (folder, error) {
	abs, err := filepath.Abs(state)
	if err != nil {
		return "", fmt.Errorf("finding the state folder %s: %w", state, err)
	}
	if err := searchable(nearest(filepath.Dir(abs))); err != nil {
		return "", err
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return "", fmt.Errorf("making the state folder: %w", err)
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", fmt.Errorf("finding the state folder %s: %w", state, err)
	}
	// A mode given to mkdir is cut by the umask; this folder must be searchable.
	if err := os.Chmod(abs, 0o755); err != nil {
		return "", fmt.Errorf("opening the state folder: %w", err)
	}
	if err := searchable(abs); err != nil {
		return "", err
	}
	f := folder(abs)
	for name, mode := range map[string]fs.FileMode{
		"run": 0o755, "hold": 0o755, "worker": 0o755, "log": 0o700,
		"pki": 0o700, "temporal": 0o700, "ui": 0o700, "ui/config": 0o700, "files": 0o700, "client": 0o700, signingFolder: 0o700, "upload": 0o700, "signers": 0o755,
	} {
		if err := os.MkdirAll(f.path(name), mode); err != nil {
			return "", fmt.Errorf("making a folder of the state: %w", err)
		}
		if err := os.Chmod(f.path(name), mode); err != nil {
			return "", fmt.Errorf("making a folder of the state: %w", err)
		}
	}
	return f, nil
}

// nearest is the lowest folder on the way to dir that exists.
func nearest(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// searchable refuses a folder that other users cannot reach: PostgreSQL and the
// builds run as users of their own.
func searchable(dir string) error {
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return fmt.Errorf("looking at the way to the state folder: %w", err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("the state folder cannot be reached by the users of PostgreSQL and of the builds, because %s is not searchable for them; hint: chmod o+x %s, or name another folder with --state", d, d)
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

// linkState lets home/.state lead to the state folder, replacing only a link.
func linkState(link, state string) error {
	if link == "" {
		return nil
	}
	old, err := os.Readlink(link)
	switch {
	case err == nil && old == state:
		return nil
	case err == nil:
		if err := os.Remove(link); err != nil {
			return fmt.Errorf("replacing the link %s: %w", link, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is in the way of a link to the state folder %s; hint: move it away, or name a folder with --state", link, state)
	}
	if err := os.Symlink(state, link); err != nil {
		return fmt.Errorf("linking the state folder: %w", err)
	}
	return nil
}

// lock keeps a second stack out of the folder until the file is closed.
func (f folder) lock() (*os.File, error) {
	file, err := os.OpenFile(f.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the state folder: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("a stack already runs in %s; hint: stop it (make down), or name another folder with --state and other ports with --port-base", f)
		}
		return nil, fmt.Errorf("locking %s: %w", file.Name(), err)
	}
	return file, nil
}

// keep returns what the file holds, or makes it with fresh and mode 0600.
func (f folder) keep(name string, fresh func() (string, error)) (string, error) {
	file := f.path(name)
	kept, err := os.ReadFile(file)
	if err == nil && len(strings.TrimSpace(string(kept))) > 0 {
		return strings.TrimSpace(string(kept)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading %s: %w", file, err)
	}
	text, err := fresh()
	if err != nil {
		return "", err
	}
	return text, writeFile(file, []byte(text+"\n"), 0o600)
}

// writeFile replaces a file at once: a reader sees the old or the new one.
func writeFile(name string, data []byte, mode fs.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// secret returns random text of 8 × bytes ÷ 5 lower-case letters and digits.
func secret(bytes int) (string, error) {
	raw := make([]byte, bytes)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("drawing random bytes: %w", err)
	}
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	return strings.ToLower(text), nil
}
