package executor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Limits bound what all processes of one command may take together. In a
// Config a zero stands for DefaultLimits, in a Command for the Config's value;
// a negative number stands for no limit.
type Limits struct {
	// Memory is in bytes: what processes hold, and files in memory
	// (/dev/shm). A cache of files on disk does not count. There is no swap.
	Memory int64
	// Disk is in bytes, blocks and not lengths: what the job's folder takes,
	// and files that were deleted and are still open.
	Disk int64
	// Processes counts threads too, as the kernel does.
	Processes int64
}

// Bound names a limit. It is written down with results and does not change.
type Bound string

// What can end a command early. Of these, MachineDisk alone says nothing about
// the command: somebody else may have filled the disk.
const (
	Time        Bound = "time"         // Command.Limit
	Output      Bound = "output"       // 16 times Command.OutputLimit, 256 MiB at least
	Memory      Bound = "memory"       // Limits.Memory
	Disk        Bound = "disk"         // Limits.Disk
	Processes   Bound = "processes"    // Limits.Processes
	MachineDisk Bound = "machine-disk" // DiskReserve
)

// DiskReserve is what commands leave free on the file system of the state
// folder, in bytes: the worker's own log and uploads need it. Where less than
// a hundred times that was free when the command began, it is a hundredth.
const DiskReserve = 512 << 20

// flood is how many bytes a command may write before it is stopped. What is
// beyond OutputLimit is dropped, so this bounds work, not space: it is generous.
func flood(outputLimit int64) int64 { return max(16*outputLimit, 256<<20) }

// DefaultLimits leaves the machine a tenth of its memory and a quarter of its
// process numbers, and does not bound the disk beyond DiskReserve.
func DefaultLimits() Limits {
	limits := Limits{Memory: -1, Disk: -1, Processes: 8192}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		limits.Memory = int64(info.Totalram) * int64(info.Unit) / 10 * 9
	}
	if raw, err := os.ReadFile("/proc/sys/kernel/pid_max"); err == nil {
		if most, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil {
			limits.Processes = min(limits.Processes, most/4*3)
		}
	}
	return limits
}

// or fills in what is zero.
func (l Limits) or(other Limits) Limits {
	if l.Memory == 0 {
		l.Memory = other.Memory
	}
	if l.Disk == 0 {
		l.Disk = other.Disk
	}
	if l.Processes == 0 {
		l.Processes = other.Processes
	}
	return l
}

// strike is a limit that was reached, with a sentence for who reads the result.
type strike struct {
	bound  Bound
	reason string
}

func struckTime(limit time.Duration) strike {
	return strike{Time, fmt.Sprintf("the command ran longer than %v", limit)}
}

func struckMemory(limit int64) strike {
	return strike{Memory, fmt.Sprintf("the command used more than %s of memory", bytesInWords(limit))}
}

func struckProcesses(limit int64) strike {
	return strike{Processes, fmt.Sprintf("the command had more than %d processes at once", limit)}
}

func struckDisk(limit int64) strike {
	return strike{Disk, fmt.Sprintf("the command used more than %s of disk", bytesInWords(limit))}
}

func struckOutput(limit int64) strike {
	return strike{Output, fmt.Sprintf("the command wrote more than %s of output", bytesInWords(flood(limit)))}
}

func struckMachineDisk(reserve int64, dir string) strike {
	return strike{MachineDisk, fmt.Sprintf("the disk of the worker is full: less than %s are free in %s", bytesInWords(reserve), dir)}
}

// bytesInWords is "4 GiB", "1.5 GiB", "700 bytes".
func bytesInWords(n int64) string {
	for unit, name := range []string{"bytes", "KiB", "MiB", "GiB", "TiB"} {
		if size := float64(n) / float64(int64(1)<<(10*unit)); size < 1024 || name == "TiB" {
			return strings.TrimSuffix(strconv.FormatFloat(size, 'f', 1, 64), ".0") + " " + name
		}
	}
	return ""
}
