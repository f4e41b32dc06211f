package cli

import (
	"fmt"
	"strings"
	"time"

	"debusine"
	"debusine/api"
)

// outputPairs are output_data as people read it: why it failed, what it took.
func outputPairs(w api.WorkRequest) [][2]string {
	output, err := outputOf(w)
	if err != nil {
		return nil
	}
	var pairs [][2]string
	for _, e := range output.Errors {
		pairs = append(pairs, [2]string{"Reason", oneLine(e.Message)})
	}
	if output.SkipReason != "" {
		pairs = append(pairs, [2]string{"Skipped", oneLine(output.SkipReason)})
	}
	for _, note := range output.Notes {
		pairs = append(pairs, [2]string{"Note", oneLine(note)})
	}
	for _, line := range leftOut(w) {
		pairs = append(pairs, [2]string{"Left out", line})
	}
	if output.Failure != nil {
		pairs = append(pairs, [2]string{"Failure", oneLine(output.Failure.String())}, [2]string{"Evidence", evidence(output)})
	}
	if output.Command != nil {
		pairs = append(pairs, [2]string{"Failed in", output.Command.FailStage})
	}
	if s := output.RuntimeStatistics; s != nil {
		pairs = append(pairs, statisticsPairs(s)...)
	}
	return pairs
}

// evidence is the line that told what a build failed of, where no reason says it.
func evidence(output debusine.OutputData) string {
	for _, e := range output.Errors {
		if strings.Contains(e.Message, output.Failure.Evidence) {
			return ""
		}
	}
	return oneLine(output.Failure.Evidence)
}

// leftOut are the architectures that a workflow does not build on, each with the
// reason.
func leftOut(w api.WorkRequest) (lines []string) {
	output, err := outputOf(w)
	if err != nil {
		return nil
	}
	for _, d := range output.Dropped {
		lines = append(lines, oneLine(d.Architecture+": "+d.Reason))
	}
	return lines
}

func statisticsPairs(s *debusine.RuntimeStatistics) [][2]string {
	seconds := func(n int64) string { return span(time.Duration(n) * time.Second) }
	var phases, cpu, memory, disk string
	if s.DurationRun > 0 {
		phases = fmt.Sprintf("setup %s, run %s, teardown %s", seconds(s.DurationSetup), seconds(s.DurationRun), seconds(s.DurationTeardown))
	}
	if s.CPUTime > 0 {
		cpu = seconds(s.CPUTime)
	}
	if s.CPUTimeUser > 0 || s.CPUTimeSystem > 0 {
		cpu += fmt.Sprintf(" (user %s, system %s)", seconds(s.CPUTimeUser), seconds(s.CPUTimeSystem))
	}
	if s.CPUCount > 0 && cpu != "" {
		cpu += fmt.Sprintf(" on %d processors", s.CPUCount)
	}
	if s.Memory > 0 {
		memory = "at most " + of(s.Memory, s.AvailableMemory)
	}
	if s.DiskSpace > 0 {
		disk = "at most " + of(s.DiskSpace, s.AvailableDisk)
	}
	return [][2]string{{"Phases", phases}, {"CPU time", cpu}, {"Memory", memory}, {"Disk", disk}}
}

// of says a part of a whole that may not be known.
func of(part, whole int64) string {
	if whole <= 0 {
		return bytesOf(part)
	}
	return bytesOf(part) + " of " + bytesOf(whole)
}
