// Command bench measures the whole thing on this machine, prints a table and
// writes .state/bench.json.
//
// It starts an installation of its own: PostgreSQL, Temporal, `debusine server`
// and, measure by measure, `debusine worker` processes, all from the binary that
// users run. What it asks goes through the HTTP API, as a person's or a
// machine's would. Where a measure is held to what Temporal itself can do, the
// bare SDK does the same on the same Temporal in the same minute: numbers of
// another day or another machine say nothing.
//
//	bench [--only NAME,…] [--program FILE] [--state DIR]
//
// Each measure has a file of its own and gives one row for each of its floors.
// Times are medians. The exit status is 1 when a floor was missed or a measure
// failed, after all have run; rows of measures that did not run, and of other
// benches, stay in the file.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"debusine/stack"
)

// measure is one question to the installation. One that fails has no row; the
// exit status tells.
type measure struct {
	name string
	run  func(context.Context, *house) ([]Row, error)
}

// measures are in the order in which they run: what needs a fresh server first.
func measures() []measure {
	return []measure{
		{"server-memory", serverMemory},
		{"noop", noopLatency},
		{"queue", oneQueue},
		{"six-queues", sixQueues},
		{"workflow-children", workflowChildren},
		{"get-work-request", getWorkRequest},
		{"collection-lookup", collectionLookups},
		{"artifact-500-files", manyFiles},
		{"transfer", transfer},
		{"log", liveLogs},
		{"build", buildOverhead},
		{"warm-hello", warmHello},
		{"estimate", estimates},
		{"fair", fairness}, // the last: it leaves work behind
	}
}

func main() {
	only := flag.String("only", "", "run these measures alone: `NAME,…`")
	program := flag.String("program", "bin/debusine", "measure this debusine `FILE`")
	state := flag.String("state", "", "write bench.json, and keep the build environment, in `DIR` (default: .state in the checkout)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ok, err := bench(ctx, *only, *program, *state)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || !ok {
		stop()
		os.Exit(1)
	}
}

func bench(ctx context.Context, only, program, state string) (ok bool, err error) {
	chosen, err := choose(only)
	if err != nil {
		return false, err
	}
	if state == "" {
		state, err = stack.DefaultState()
	} else {
		err = os.MkdirAll(state, 0o755)
	}
	if err != nil {
		return false, err
	}
	h, err := openHouse(ctx, program, state)
	if err != nil {
		return false, err
	}
	defer h.close()
	rows, failed := runAll(ctx, h, chosen)
	if err := save(state, rows); err != nil {
		return false, err
	}
	fmt.Println()
	printTable(os.Stdout, rows)
	if missed := missed(rows); len(missed) > 0 {
		fmt.Printf("\nmissed: %s\n", strings.Join(missed, ", "))
		return false, failed
	}
	return true, failed
}

// choose picks measures by name.
func choose(only string) ([]measure, error) {
	all := measures()
	if only == "" {
		return all, nil
	}
	var chosen []measure
	wanted := strings.Split(only, ",")
	for _, m := range all {
		if i := slices.Index(wanted, m.name); i >= 0 {
			chosen, wanted = append(chosen, m), slices.Delete(wanted, i, i+1)
		}
	}
	if len(wanted) > 0 {
		names := []string{}
		for _, m := range all {
			names = append(names, m.name)
		}
		return nil, fmt.Errorf("there is no measure %q; hint: the measures are %s", wanted[0], strings.Join(names, ", "))
	}
	return chosen, nil
}

// runAll goes on after a measure that failed: the others still tell something.
func runAll(ctx context.Context, h *house, chosen []measure) (rows []Row, failed error) {
	for _, m := range chosen {
		if ctx.Err() != nil {
			return rows, ctx.Err()
		}
		fmt.Printf("== %s\n", m.name)
		began := time.Now()
		found, err := m.run(ctx, h)
		rows = append(rows, found...)
		for _, row := range found {
			fmt.Println("  " + row.String())
		}
		if err != nil {
			failed = fmt.Errorf("measuring %s: %w", m.name, err)
			fmt.Printf("  failed: %v\n%s", err, h.complaints())
		}
		fmt.Printf("  (took %s)\n", time.Since(began).Round(time.Second))
	}
	return rows, failed
}
