package worker

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"debusine/activities/worker"
	"debusine/api"
	"debusine/task"
)

// report is what the machine says of itself: tags of what it can do, and the
// facts that its administrator would look for. A tool that is missing is a tag
// that is missing, never a build that fails.
func (m *machine) report() api.WorkerMetadata {
	arch, limits := m.arch, m.box.Limits()
	tags := []string{"worker:type:worker", "worker:build-arch:" + arch}
	for _, name := range task.WorkerTasks() {
		tags = append(tags, "worker:task:worker:"+name+":version:1")
	}
	for _, tool := range []string{"sbuild", "mmdebstrap"} {
		if !isMissing(tool) {
			tags = append(tags, "worker:cap:"+tool)
		}
	}
	if !slices.ContainsFunc(workeract.ImageTools(), isMissing) {
		tags = append(tags, "worker:cap:system-image")
	}
	has, backends := tagsOf(m.offers)
	tags = append(tags, has...)
	host, _ := os.Hostname()
	return api.WorkerMetadata{
		"provided_tags":              tags,
		"system:native_architecture": arch,
		"system:cpu_count":           runtime.NumCPU(),
		"system:memory":              totalMemory(),
		"system:hostname":            host,
		"system:isolated":            m.box.Isolated(),
		"system:backends":            backends,
		"system:ready_environments":  m.doer.Ready(),
		"system:bounded_by":          m.box.BoundedBy(),
		"system:job_limits":          map[string]int64{"memory": limits.Memory, "disk": limits.Disk, "processes": limits.Processes},
		"concurrency":                m.atOnce(m.concurrency),
	}
}

func isMissing(program string) bool {
	_, err := exec.LookPath(program)
	return err != nil
}

// totalMemory is in bytes; 0 when the kernel does not tell.
func totalMemory() int64 {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
