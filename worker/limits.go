package worker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine/activities/worker"
	"debusine/executor"
)

// jobLimits reads the limits of jobs; what is not said is the executor's.
func jobLimits(c *cli.Context) (executor.Limits, error) {
	var limits executor.Limits
	for name, into := range map[string]*int64{"job-memory": &limits.Memory, "job-disk": &limits.Disk, "job-processes": &limits.Processes} {
		value, err := parseAmount(c.String(name))
		if err != nil {
			return limits, cli.Exit(fmt.Sprintf("--%s: %v\nhint: 8G, 512M, a plain number, or none", name, err), 2)
		}
		*into = value
	}
	return limits, nil
}

// readySize is how much disk environments that are kept ready may take.
func readySize(c *cli.Context) (int64, error) {
	size, err := parseAmount(c.String("ready-size"))
	if err != nil {
		return 0, cli.Exit(fmt.Sprintf("--ready-size: %v\nhint: 10G, or none", err), 2)
	}
	if size == 0 {
		size = workeract.DefaultReadySize
	}
	return size, nil
}

// parseAmount reads a number with an optional K, M, G or T (powers of 1024, as
// systemd has them); "none" is -1, and nothing is 0, the default.
func parseAmount(text string) (int64, error) {
	switch text {
	case "":
		return 0, nil
	case "none":
		return -1, nil
	}
	number, unit := text, int64(1)
	if at := strings.IndexByte("KMGT", text[len(text)-1]); at >= 0 {
		number, unit = text[:len(text)-1], int64(1)<<(10*(at+1))
	}
	value, err := strconv.ParseInt(number, 10, 64)
	if err != nil || value <= 0 || value > (1<<62)/unit {
		return 0, fmt.Errorf("%q is no amount", text)
	}
	return value * unit, nil
}

// atOnce is how many work requests this machine takes at once, of those that the
// administrator allows: jobs that are not kept from one another come singly.
func (m *machine) atOnce(allowed int) int {
	if !m.box.Isolated() {
		return min(allowed, 1)
	}
	return allowed
}
