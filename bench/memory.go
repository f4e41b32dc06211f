package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	mebibyte  = 1 << 20
	idleFor   = 10 * time.Second
	lookPace  = 50 * time.Millisecond
	lookTimes = 5
)

// serverMemory is what the server takes while nobody wants anything of it, as
// PSS: pages that it shares count by its share.
func serverMemory(ctx context.Context, h *house) ([]Row, error) {
	if err := pause(ctx, time.Until(h.born.Add(idleFor))); err != nil {
		return nil, err
	}
	ours, err := several(lookTimes, func() (float64, error) { return h.memory("server") })
	if err != nil {
		return nil, err
	}
	beside, err := several(lookTimes, func() (float64, error) { return h.memory("postgresql", "temporal") })
	if err != nil {
		return nil, err
	}
	return []Row{newRow("server-memory", ours, "MiB", atMost(80), beside)}, nil
}

// memory is the PSS of parts of the installation with all below them, in MiB.
func (h *house) memory(parts ...string) (float64, error) {
	var sum int64
	for _, part := range parts {
		pid, err := h.Pid(part)
		if err != nil {
			return 0, err
		}
		bytes, err := treePSS(pid)
		if err != nil {
			return 0, fmt.Errorf("reading the memory of %s: %w", part, err)
		}
		sum += bytes
	}
	return float64(sum) / mebibyte, nil
}

// treePSS adds up a process and its descendants, in bytes.
func treePSS(pid int) (int64, error) {
	sum, err := pss(pid)
	if err != nil {
		return 0, err
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0, err
	}
	for _, file := range tasks {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has just ended has no children
		}
		for _, word := range strings.Fields(string(raw)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return 0, err
			}
			bytes, err := treePSS(child)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return 0, err
			}
			sum += bytes
		}
	}
	return sum, nil
}

func pss(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	return parsePSS(string(raw))
}

// parsePSS reads proc_pid_smaps(5): "Pss:    1234 kB".
func parsePSS(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("smaps_rollup tells no Pss")
}

// watchMemory looks at a part again and again until stop, which gives the most
// that was seen, in MiB.
func (h *house) watchMemory(part string) (stop func() (most float64, err error)) {
	var (
		done  = make(chan struct{})
		group sync.WaitGroup
		most  float64
		wrong error
	)
	group.Go(func() {
		for {
			now, err := h.memory(part)
			most, wrong = max(most, now), errors.Join(wrong, err)
			select {
			case <-done:
				return
			case <-time.After(lookPace):
			}
		}
	})
	return func() (float64, error) {
		close(done)
		group.Wait()
		return most, wrong
	}
}
