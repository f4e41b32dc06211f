package forecast

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// Machine is what can do jobs: so many at once, from these queues.
type Machine struct {
	Slots  int
	Queues []string
}

// Busy is a slot of a machine that is taken.
type Busy struct {
	Machine   int // which, in the list of machines
	Workspace int64
	Left      time.Duration
}

// Job waits for a machine.
type Job struct {
	ID        int64
	Queue     string
	Workspace int64
	Priority  int
	Took      time.Duration // as estimated
}

// Estimate is what is expected of a job.
type Estimate struct {
	Position int           // in its queue, 1 is next
	Start    time.Duration // from now
	Known    bool          // some machine will take it; else Start says nothing
	Machine  int           // which, in the list of machines
}

// free is a slot that will be free, and whose job then ends.
type free struct {
	at        time.Duration
	machine   int
	workspace int64 // 0: it is free from the start
}

type slots []free

func (s slots) Len() int { return len(s) }
func (s slots) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(s[i].at, s[j].at), cmp.Compare(s[i].machine, s[j].machine)) < 0
}
func (s slots) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

// Push is heap's.
func (s *slots) Push(x any) { *s = append(*s, x.(free)) }

// Pop is heap's.
func (s *slots) Pop() any {
	old := *s
	last := old[len(old)-1]
	*s = old[:len(old)-1]
	return last
}

// line is the jobs of one workspace in one queue, next first.
type line struct {
	workspace int64
	jobs      []Job
}

// game is a simulation under way.
type game struct {
	lines    map[string][]*line // by queue
	machines []Machine
	slots    slots
	held     map[int64]int // machines that each workspace holds
	served   map[int64]int // when each was served last
	turn     int
	position map[string]int
	out      map[int64]Estimate
}

// Simulate plays on from now, and gives the estimate of each job by its id.
// Higher priorities come first; among equal ones the workspace that holds the
// fewest machines, then the one that was served longest ago, then the lower id:
// as the gateway does it (store.ReadyRows).
func Simulate(machines []Machine, busy []Busy, jobs []Job) map[int64]Estimate {
	g := &game{lines: map[string][]*line{}, machines: machines, held: map[int64]int{}, served: map[int64]int{}, position: map[string]int{}, out: make(map[int64]Estimate, len(jobs))}
	g.line(jobs)
	taken := make([]int, len(machines))
	for _, b := range busy {
		if b.Machine >= 0 && b.Machine < len(machines) {
			taken[b.Machine]++
			g.held[b.Workspace]++
			g.slots = append(g.slots, free{b.Left, b.Machine, b.Workspace})
		}
	}
	for i, m := range machines {
		for range m.Slots - taken[i] {
			g.slots = append(g.slots, free{machine: i})
		}
	}
	heap.Init(&g.slots)
	for g.slots.Len() > 0 && len(g.out) < len(jobs) {
		s := heap.Pop(&g.slots).(free)
		if s.workspace != 0 {
			g.held[s.workspace]--
		}
		if taken[s.machine] > g.machines[s.machine].Slots { // an administrator took slots away
			taken[s.machine]--
			continue
		}
		if job, ok := g.next(g.machines[s.machine].Queues); ok {
			g.held[job.Workspace]++
			heap.Push(&g.slots, free{s.at + max(job.Took, time.Second), s.machine, job.Workspace})
			g.out[job.ID] = Estimate{Position: g.place(job.Queue), Start: s.at, Known: true, Machine: s.machine}
		}
	}
	g.rest(jobs)
	return g.out
}

func inOrder(a, b Job) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.ID, b.ID))
}

// line puts the jobs into lines.
func (g *game) line(jobs []Job) {
	for _, job := range slices.SortedFunc(slices.Values(jobs), inOrder) {
		lines := g.lines[job.Queue]
		at := slices.IndexFunc(lines, func(l *line) bool { return l.workspace == job.Workspace })
		if at < 0 {
			at, lines = len(lines), append(lines, &line{workspace: job.Workspace})
			g.lines[job.Queue] = lines
		}
		lines[at].jobs = append(lines[at].jobs, job)
	}
}

// next takes the job that a machine with these queues is given.
func (g *game) next(queues []string) (Job, bool) {
	var best *line
	for _, queue := range queues {
		for _, l := range g.lines[queue] {
			if len(l.jobs) > 0 && (best == nil || g.before(l, best)) {
				best = l
			}
		}
	}
	if best == nil {
		return Job{}, false
	}
	job := best.jobs[0]
	best.jobs = best.jobs[1:]
	g.turn++
	g.served[job.Workspace] = g.turn
	return job, true
}

func (g *game) before(a, b *line) bool {
	return cmp.Or(cmp.Compare(b.jobs[0].Priority, a.jobs[0].Priority), cmp.Compare(g.held[a.workspace], g.held[b.workspace]),
		cmp.Compare(g.served[a.workspace], g.served[b.workspace]), cmp.Compare(a.jobs[0].ID, b.jobs[0].ID)) < 0
}

func (g *game) place(queue string) int {
	g.position[queue]++
	return g.position[queue]
}

// rest are the jobs that no machine takes.
func (g *game) rest(jobs []Job) {
	if len(g.out) == len(jobs) {
		return
	}
	for _, job := range slices.SortedFunc(slices.Values(jobs), inOrder) {
		if _, done := g.out[job.ID]; !done {
			g.out[job.ID] = Estimate{Position: g.place(job.Queue)}
		}
	}
}
