package executor

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// process is one of the machine's, as /proc shows it: proc(5).
type process struct {
	pid, parent, session int
	zombie               bool
}

// processes lists those that are alive; zombies have nothing left to kill.
func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok && !p.zombie {
			found = append(found, p)
		}
	}
	return found
}

func readProcess(pid int) (process, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	// The name, in brackets, may hold anything; what follows it may not.
	_, rest, found := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(") "))
	fields := bytes.Fields(rest)
	if !found || len(fields) < 4 {
		return process{}, false
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	session, err := strconv.Atoi(string(fields[3]))
	return process{pid: pid, parent: parent, session: session, zombie: fields[0][0] == 'Z'}, err == nil
}

// descendants are a process and all that come from it.
func descendants(first int) []int {
	children := make(map[int][]int)
	for _, p := range processes() {
		children[p.parent] = append(children[p.parent], p.pid)
	}
	found := []int{first}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// has tells whether the process was started with a variable, NAME=VALUE.
func (p process) has(variable string) bool {
	return slices.Contains(p.words("environ"), variable)
}

// words reads a file of NUL-separated strings in the process's folder.
func (p process) words(file string) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.pid, file))
	if err != nil {
		return nil
	}
	var words []string
	for word := range bytes.SplitSeq(data, []byte{0}) {
		words = append(words, string(word))
	}
	return words
}

// owner is the user that the process runs as, or -1.
func (p process) owner() int {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", p.pid))
	if err != nil {
		return -1
	}
	return ownerOf(info)
}
