package main

import (
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// starters is how many clients ask for work at once.
const starters = 8

// inParallel calls do with 0 … n-1, by as many as there are starters.
func inParallel(n int, do func(i int) error) error {
	var (
		group errgroup.Group
		next  atomic.Int64
	)
	for range starters {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := do(i); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// median of an even number is the mean of the middle two; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// several repeats a measurement and gives the median.
func several(times int, measure func() (float64, error)) (float64, error) {
	var values []float64
	for range times {
		value, err := measure()
		if err != nil {
			return 0, err
		}
		values = append(values, value)
	}
	return median(values), nil
}
