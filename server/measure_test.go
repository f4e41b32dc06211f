package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"debusine/api"
)

// TestMeasure prints how fast the server is; `make bench` has the floors. It is
// asked for with DEBUSINE_MEASURE=1.
func TestMeasure(t *testing.T) {
	if os.Getenv("DEBUSINE_MEASURE") == "" {
		t.Skip("DEBUSINE_MEASURE is not set")
	}
	w := newWorld(t)
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 64
	measureTransfer(w, 1<<30)
	measureSmall(w)
	measureReads(w)
}

func measureTransfer(w *world, size int64) {
	name := filepath.Join(w.TempDir(), "big")
	f, err := os.Create(name)
	w.ok(err)
	block := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	for written := int64(0); written < size; written += int64(len(block)) {
		w.must(f.Write(block))
	}
	w.ok(f.Sync())
	w.must(f.Seek(0, io.SeekStart))
	before := processor()
	h, start := sha256.New(), time.Now()
	w.must(io.Copy(h, f))
	hashing := time.Since(start)
	w.Logf("processor for sha256: %s", processor()-before)
	announce := api.ArtifactCreate{Category: "debusine:test", Files: map[string]api.File{"big": {Type: "file", Size: size, Checksums: map[string]string{"sha256": hex.EncodeToString(h.Sum(nil))}}}}
	var made api.Artifact
	w.want(201, w.maker, "POST", "artifact/", announce, &made)
	w.must(f.Seek(0, io.SeekStart))
	start = time.Now()
	r, err := http.NewRequest("PUT", fmt.Sprintf("%s/api/1.0/artifact/%d/files/big/", w.url, made.ID), f)
	w.ok(err)
	r.ContentLength = size
	r.Header.Set("Token", w.maker)
	before = processor()
	answer, err := http.DefaultClient.Do(r)
	w.ok(err)
	up, upCPU := time.Since(start), processor()-before
	start = time.Now()
	r, err = http.NewRequest("GET", fmt.Sprintf("%s/api/1.0/artifact/%d/files/big/", w.url, made.ID), nil)
	w.ok(err)
	r.Header.Set("Token", w.maker)
	down, err := http.DefaultClient.Do(r)
	w.ok(err)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, down.Body, make([]byte, 1<<20))
	w.ok(err)
	downTime := time.Since(start)
	w.Logf("sha256 %s; upload %s (%s; processor %s) ratio %.2f; download %d bytes %s ratio %.2f", hashing, up, answer.Status, upCPU, hashing.Seconds()/up.Seconds(), n, downTime, hashing.Seconds()/downTime.Seconds())
}

func measureSmall(w *world) {
	content := map[string]string{}
	for i := range 500 {
		content[fmt.Sprintf("f%d", i)] = string(bytes.Repeat([]byte{byte(i), byte(i >> 8), 'x'}, 3400))
	}
	start := time.Now()
	var made api.Artifact
	w.want(201, w.maker, "POST", "artifact/", testArtifact(content), &made)
	var next atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(made.FilesToUpload)) {
					return
				}
				path := made.FilesToUpload[i]
				if a := w.call(w.maker, "PUT", fmt.Sprintf("artifact/%d/files/%s/", made.ID, path), content[path]); a.status != 201 {
					w.Errorf("%d %s", a.status, a.body)
				}
			}
		})
	}
	all.Wait()
	w.Logf("500 files of 10 kB: %s", time.Since(start))
}

func measureReads(w *world) {
	var one api.WorkRequest
	w.want(200, w.maker, "POST", "work-request/", api.WorkRequestCreate{TaskName: "noop"}, &one)
	before := processor()
	pgBefore := pgCPU(w)
	var count atomic.Int64
	end := time.Now().Add(4 * time.Second)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for time.Now().Before(end) {
				if a := w.call(w.maker, "GET", fmt.Sprintf("work-request/%d/", one.ID), nil); a.status != 200 {
					w.Errorf("%d", a.status)
				}
				count.Add(1)
			}
		})
	}
	all.Wait()
	used := processor() - before
	w.Logf("work requests read: %d/s; processor per request: client and server %s, PostgreSQL %s", count.Load()/4, used/time.Duration(count.Load()), (pgCPU(w)-pgBefore)/time.Duration(count.Load()))
}

// pgCPU is the processor time of the test database's backends so far.
func pgCPU(w *world) (used time.Duration) {
	rows, err := w.db.Pool().Query(w.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database()`)
	w.ok(err)
	defer rows.Close()
	for rows.Next() {
		var pid int
		w.ok(rows.Scan(&pid))
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		w.ok(err)
		var ns int64
		w.must(fmt.Sscan(string(raw), &ns))
		used += time.Duration(ns)
	}
	return used
}

// processor is the processor time of this process so far: on a busy machine it
// tells more than the clock.
func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
