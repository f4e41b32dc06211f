package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	firstPause = time.Second
	longPause  = 30 * time.Second
	settled    = 10 * time.Second // a part that lived so long starts its pauses anew
	upWithin   = 60 * time.Second
	glance     = 50 * time.Millisecond
)

// part is one process of the stack, kept running until it is stopped.
type part struct {
	name     string
	command  func() (*exec.Cmd, error) // a fresh command for each start
	ready    func(context.Context) error
	patience time.Duration // between the polite signal and the kill
	within   time.Duration // how long it may take to come up; 0 means upWithin

	folder  folder
	log     *slog.Logger
	spawner *spawner

	mu       sync.Mutex
	running  *process
	lastExit string
	stopOnce sync.Once
	stopping chan struct{}
	ended    chan struct{}
}

// process is one life of a part.
type process struct {
	cmd  *exec.Cmd
	id   identity
	born time.Time
	done chan struct{}
	how  string // how it ended, once done is closed
}

// begin keeps the part running from now on.
func (p *part) begin() {
	p.stopping, p.ended = make(chan struct{}), make(chan struct{})
	go p.keep()
}

func (p *part) keep() {
	defer close(p.ended)
	pause := firstPause
	for p.unheld() {
		life, err := p.start()
		if err != nil {
			p.note(err.Error())
			p.log.Error("a part did not start", "part", p.name, "error", err, "again_in", pause)
		} else {
			select {
			case <-life.done:
			case <-p.stopping:
				return // stop ends it
			}
			p.note(life.how)
			p.finish(life)
			if time.Since(life.born) >= settled {
				pause = firstPause
			}
			p.log.Warn("a part died and is started again", "part", p.name, "how", life.how, "again_in", pause, "log", p.logFile())
		}
		select {
		case <-time.After(pause):
		case <-p.stopping:
			return
		}
		pause = min(2*pause, longPause)
	}
}

// unheld waits while the hold file exists; false says that the part is stopping.
func (p *part) unheld() bool {
	held := false
	for {
		select {
		case <-p.stopping:
			return false
		default:
		}
		if _, err := os.Stat(p.folder.path("hold", p.name)); err != nil {
			if held {
				p.log.Info("a part is released", "part", p.name)
			}
			return true
		}
		if !held {
			held = true
			p.log.Info("a part is held down", "part", p.name, "by", p.folder.path("hold", p.name))
		}
		select {
		case <-time.After(glance):
		case <-p.stopping:
		}
	}
}

// start runs the command in a process group of its own, its words going straight
// to the log file: nothing is lost when the stack itself dies.
func (p *part) start() (*process, error) {
	cmd, err := p.command()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(p.logFile(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", p.name, err)
	}
	defer out.Close()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, stateMark+"="+string(p.folder))
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = politeSignal(p.name)
	if err := p.spawner.start(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	life := &process{cmd: cmd, born: time.Now(), done: make(chan struct{})}
	// A process that ended already still has its entry: nobody has waited for it.
	if life.id, err = identify(cmd.Process.Pid); err == nil {
		err = writeFile(p.folder.path("run", p.name+".pid"), []byte(life.id.String()), 0o644)
	}
	if err != nil {
		life.id.pid = cmd.Process.Pid // of one that has ended already no program is known; its children are found by this
		p.log.Warn("a pid file was not written", "part", p.name, "error", err)
	}
	p.mu.Lock()
	p.running = life
	p.mu.Unlock()
	go func() {
		life.how = endedHow(cmd.Wait())
		close(life.done)
	}()
	return life, nil
}

func endedHow(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "ended with status 0"
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		return "ended by signal " + exit.Sys().(syscall.WaitStatus).Signal().String()
	case errors.As(err, &exit):
		return fmt.Sprintf("ended with status %d", exit.ExitCode())
	}
	return err.Error()
}

// up waits until the part answers, or says in a sentence that it does not.
func (p *part) up(ctx context.Context) error {
	allowed := cmp.Or(p.within, upWithin)
	deadline := time.Now().Add(allowed)
	for {
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := p.ready(within)
		cancel()
		if err == nil && p.alive() {
			return nil
		}
		if err == nil {
			err = errors.New("it does not run")
		}
		if ctx.Err() != nil {
			return fmt.Errorf("starting %s: %w", p.name, ctx.Err())
		}
		if time.Now().After(deadline) {
			return p.neverUp(allowed, err)
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
		}
	}
}

func (p *part) neverUp(allowed time.Duration, err error) error {
	p.mu.Lock()
	exit := p.lastExit
	p.mu.Unlock()
	if exit != "" {
		exit = ", it " + exit
	}
	last := lastLine(p.logFile())
	if last != "" {
		last = fmt.Sprintf("; its last words: %q", last)
	}
	return fmt.Errorf("%s did not come up within %s%s (%w)%s; hint: its log is %s", p.name, allowed, exit, err, last, p.logFile())
}

func (p *part) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return false
	}
	select {
	case <-p.running.done:
		return false
	default:
		return true
	}
}

func (p *part) note(how string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastExit = how
}

// stop ends the part: politely, then, when its patience or the caller's is over,
// with its whole process group.
func (p *part) stop(hurry <-chan struct{}) {
	p.stopOnce.Do(func() { close(p.stopping) })
	<-p.ended
	p.mu.Lock()
	life := p.running
	p.mu.Unlock()
	if life == nil {
		return
	}
	life.cmd.Process.Signal(politeSignal(p.name))
	select {
	case <-life.done:
	case <-time.After(p.patience):
		p.log.Warn("a part does not end and is killed", "part", p.name)
	case <-hurry:
		life.cmd.Process.Signal(hurriedSignal(p.name))
		select {
		case <-life.done:
		case <-time.After(3 * time.Second):
		}
	}
	p.finish(life)
	os.Remove(p.folder.path("run", p.name+".pid"))
}

// finish kills what is left of a life. The group is signalled by its number only
// while its leader is not yet waited for, and the number so surely its own.
func (p *part) finish(life *process) {
	select {
	case <-life.done:
	default:
		syscall.Kill(-life.cmd.Process.Pid, syscall.SIGKILL)
		<-life.done
	}
	// What was signalled has not ended yet: it may still hold a port or a file.
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		left := life.id.orphans(p.folder)
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func (p *part) logFile() string { return p.folder.path("log", p.name+".log") }

// rotate keeps the logs of the three runs before.
func (f folder) rotate(name string) error {
	file := f.path("log", name+".log")
	for n := 3; n > 0; n-- {
		from := file
		if n > 1 {
			from = fmt.Sprintf("%s.%d", file, n-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", file, n)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("rotating the log of %s: %w", name, err)
		}
	}
	return nil
}

// lastLine returns the last words of a log, at most 300 bytes of them.
func lastLine(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	text := strings.TrimSpace(string(data))
	text = text[strings.LastIndexByte(text, '\n')+1:]
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}
