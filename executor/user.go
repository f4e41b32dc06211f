package executor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// builder is the user that commands run as, and the first of its subordinate ids.
type builder struct {
	name               string
	uid, gid           int
	firstUID, firstGID int
}

// buildUser is the name of the first user that root makes; others are
// debusine-build-2 and so on.
const buildUser = "debusine-build"

// findBuilder returns a build user, making it when there is none; with no name
// it is who we are.
func findBuilder(ctx context.Context, name string) (builder, error) {
	var (
		who *user.User
		err error
	)
	if name != "" {
		who, err = ensureBuildUser(ctx, name)
	} else {
		who, err = user.Current()
	}
	if err != nil {
		return builder{}, err
	}
	uid, err := strconv.Atoi(who.Uid)
	if err != nil {
		return builder{}, fmt.Errorf("user %s has the id %q", who.Username, who.Uid)
	}
	gid, err := strconv.Atoi(who.Gid)
	if err != nil {
		return builder{}, fmt.Errorf("user %s has the group id %q", who.Username, who.Gid)
	}
	b := builder{name: who.Username, uid: uid, gid: gid}
	for path, first := range map[string]*int{"/etc/subuid": &b.firstUID, "/etc/subgid": &b.firstGID} {
		if *first, err = rangeOf(path, who.Username, who.Uid); err != nil {
			return builder{}, err
		}
	}
	return b, nil
}

// ensureBuildUser makes the user with useradd, not as a system user: only
// ordinary ones get subordinate ids. Several workers may try at once; useradd
// then says that it cannot lock, or that the user exists.
func ensureBuildUser(ctx context.Context, name string) (*user.User, error) {
	var said []byte
	for try := 0; try < 20; try++ {
		who, err := user.Lookup(name)
		if err == nil {
			return who, nil
		}
		if !errors.As(err, new(user.UnknownUserError)) {
			return nil, fmt.Errorf("looking for user %s: %w", name, err)
		}
		said, err = exec.CommandContext(ctx, "useradd", "--no-create-home", "--home-dir", "/nonexistent",
			"--shell", "/usr/sbin/nologin", "--comment", "builds packages for Debusine", name).CombinedOutput()
		if err != nil {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return nil, fmt.Errorf("making user %s failed: %s", name, strings.TrimSpace(string(said)))
}

// rangeOf gives the first of a user's 65536 subordinate ids: subuid(5).
func rangeOf(path, name, id string) (first int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("reading subordinate ids: %w; hint: install the package uidmap", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) != 3 || fields[0] != name && fields[0] != id {
			continue
		}
		first, err := strconv.Atoi(fields[1])
		if count, bad := strconv.Atoi(fields[2]); err == nil && bad == nil && count >= idsOfRange {
			return first, nil
		}
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("reading %s: %w", path, err)
	}
	return 0, fmt.Errorf("user %s has no range of 65536 ids in %s, and so cannot make the namespaces of a build; "+
		"hint: usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST %s", name, path, name)
}

// needTools says which programs are missing.
func needTools(network bool) error {
	tools := map[string]string{"newuidmap": "uidmap"}
	if os.Geteuid() == 0 {
		for _, name := range []string{"setpriv", "setsid", "mount", "prlimit"} {
			tools[name] = "util-linux"
		}
	}
	if network {
		tools["slirp4netns"] = "slirp4netns"
	}
	for tool, in := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the program %s is missing; hint: install the package %s", tool, in)
		}
	}
	return nil
}

// mappedRemove deletes as root of a user namespace that holds the subordinate ids.
func mappedRemove(path string) ([]byte, error) {
	return exec.Command("unshare", "--user", "--map-root-user", "--map-auto", "rm", "-rf", "--", path).CombinedOutput()
}
