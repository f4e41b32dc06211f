package dput_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"debusine/dput/dputtest"
)

func ownerOf(info os.FileInfo) (uid, gid int) {
	stat := info.Sys().(*syscall.Stat_t)
	return int(stat.Uid), int(stat.Gid)
}

// sshAgent is an agent that has a key.
func sshAgent(t *testing.T, key string) (socket string) {
	t.Helper()
	socket = filepath.Join(dputtest.Reachable(t), "agent")
	c := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for range 100 {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	add := exec.Command("ssh-add", "-q", key)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if said, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return socket
}

// A disk that is full for a while is waited for; no .changes is there before all
// files are.
func TestAFullDiskIsWaitedFor(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting takes root")
	}
	for name, p := range map[string]*post{"sftp": dputtest.SSHD(t), "ftp": dputtest.VSFTPD(t, replacing)} {
		t.Run(name, func(t *testing.T) {
			info, err := os.Stat(p.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("tmpfs", p.Dir, "tmpfs", 0, "size=1m,mode=755"); err != nil {
				t.Skipf("mounting: %v", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(p.Dir, syscall.MNT_DETACH) })
			uid, gid := ownerOf(info)
			if err := os.Chown(p.Dir, uid, gid); err != nil {
				t.Fatal(err)
			}
			filler := filepath.Join(p.Dir, "filler")
			if err := os.WriteFile(filler, make([]byte, 900_000), 0o644); err != nil {
				t.Fatal(err)
			}
			parcel := goods(p, 300_000, 9)
			_, err = p.Send(t.Context(), parcel)
			if err == nil || strings.Contains(strings.Join(list(t, p.Dir), " "), ".changes") {
				t.Fatalf("%v; there is %v", err, list(t, p.Dir))
			}
			p.Delays = []time.Duration{300 * time.Millisecond, time.Second}
			time.AfterFunc(200*time.Millisecond, func() { os.Remove(filler) })
			send(t, p, parcel)
			isThere(t, p.Dir, parcel)
		})
	}
}
