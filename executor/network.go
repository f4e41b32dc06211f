package executor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// network is slirp4netns: the way out of one network namespace, through the
// sockets of a process that may not reach the machine's loopback. It runs with
// no capability, in a mount namespace of its own and under seccomp, because it
// parses what a hostile build sends.
type network struct {
	process *os.Process
	alive   *os.File // slirp4netns ends when this is closed, also by our death
	lost    chan error
	done    chan struct{}
}

// startNetwork returns when the namespace has its address and route.
func startNetwork(namespace string) (*network, error) {
	readyFrom, readyTo, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer readyFrom.Close()
	exitFrom, alive, err := os.Pipe()
	if err != nil {
		readyTo.Close()
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	var said strings.Builder
	cmd := exec.Command("slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback",
		"--enable-sandbox", "--enable-seccomp", "--ready-fd=3", "--exit-fd=4",
		"--netns-type=path", namespace, "tap0")
	cmd.Env = []string{"PATH=" + searchPath}
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.ExtraFiles = []*os.File{readyTo, exitFrom}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Not from the thread that is in the namespace: its sockets must be outside.
	started := make(chan error)
	go func() { started <- cmd.Start() }()
	err = <-started
	readyTo.Close()
	exitFrom.Close()
	if err != nil {
		alive.Close()
		return nil, fmt.Errorf("starting slirp4netns: %w", err)
	}
	n := &network{process: cmd.Process, alive: alive, lost: make(chan error, 1), done: make(chan struct{})}
	go func() {
		err := cmd.Wait()
		n.lost <- fmt.Errorf("the network of the job ended before the job did: slirp4netns: %v: %s", err, said.String())
		close(n.done)
	}()
	if err := n.awaitReady(readyFrom); err != nil {
		n.stop()
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return n, nil
}

func (n *network) awaitReady(from *os.File) error {
	if err := from.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if count, err := from.Read(make([]byte, 1)); count != 1 {
		return errors.Join(errors.New("slirp4netns gave the job no network"), err)
	}
	return nil
}

func (n *network) stop() {
	n.alive.Close()
	select {
	case <-n.done:
	case <-time.After(time.Second):
		_ = n.process.Kill()
		<-n.done
	}
}
