package cli

import (
	"path"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"debusine/client"
)

// worthABar is the size in bytes from which on a file gets its own bar.
const worthABar = 256 << 10

// transfer shows files that move: bars on a terminal, nothing elsewhere. end is
// to be called when all is over, however it went.
func (s *session) transfer(verb string) (progress client.Progress, end func()) {
	if !s.tty || s.out.machine() {
		return nil, func() {}
	}
	all := mpb.New(mpb.WithOutput(s.notes), mpb.WithWidth(40))
	var bars []*mpb.Bar
	progress = func(name string, size int64) func(int64) {
		if size < worthABar {
			return func(int64) {}
		}
		bar := all.AddBar(size, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(verb+" "+cut(oneLine(path.Base(name)), 40)+" ")),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")))
		s.bars.Lock()
		bars = append(bars, bar)
		s.bars.Unlock()
		var at atomic.Int64
		return func(n int64) { bar.SetCurrent(at.Add(n)) } // n may be negative
	}
	return progress, func() {
		for _, bar := range bars {
			bar.Abort(true) // what is complete does not mind
		}
		all.Wait()
	}
}
