// Package filestest is the contract of every file store: what arrives in pieces
// is whole and right before anybody sees it, what was acknowledged is kept, and
// what failed leaves nothing.
package filestest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"debusine"
	"debusine/files"
)

// Store is what the contract asks of.
type Store interface {
	Append(ctx context.Context, key string, offset int64, r io.Reader, want files.Announced) (have int64, err error)
	Offset(key string) (int64, error)
	Open(sum string) (*os.File, error)
	Has(files.Announced) bool
	Forget(key string) error
	Sweep(age time.Duration) (removed int, err error)
}

// Run holds a kind of store to the contract. fresh makes an empty one; reopen,
// called with one that fresh made, gives another over the same bytes, as after
// a restart.
func Run(t *testing.T, fresh func(t *testing.T) Store, reopen func(t *testing.T, s Store) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"a whole file in one piece":                     whole,
		"a file in many pieces, over restarts":          func(t *testing.T, s Store) { pieces(t, s, reopen) },
		"bytes that are there already are skipped":      overlap,
		"a hole is refused":                             hole,
		"other bytes are a conflict and leave nothing":  wrong,
		"too many bytes are a conflict":                 long,
		"a broken piece keeps what arrived":             broken,
		"an empty file":                                 empty,
		"the same content twice is kept once":           twice,
		"many writers of one file make one":             many,
		"what is forgotten or swept away begins anew":   swept,
		"names that are no names are refused":           names,
		"a patient writer gives up when its time is up": cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

// content makes n bytes that no compression or alignment makes easy.
func content(n int) ([]byte, files.Announced) {
	b := make([]byte, n)
	random := rand.New(rand.NewPCG(7, uint64(n)))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	s := sha256.Sum256(b)
	return b, files.Announced{Size: int64(n), SHA256: hex.EncodeToString(s[:])}
}

func has(t *testing.T, s Store, a files.Announced, b []byte) {
	t.Helper()
	f, err := s.Open(a.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, b) || !s.Has(a) {
		t.Fatalf("%d bytes came back of %d, %v", len(got), len(b), err)
	}
}

func hasNot(t *testing.T, s Store, a files.Announced) {
	t.Helper()
	if _, err := s.Open(a.SHA256); !errors.As(err, new(debusine.Missing)) || s.Has(a) {
		t.Fatalf("it is there: %v", err)
	}
}

func add(t *testing.T, s Store, key string, at int64, b []byte, a files.Announced, want int64) {
	t.Helper()
	have, err := s.Append(t.Context(), key, at, bytes.NewReader(b), a)
	if err != nil || have != want {
		t.Fatalf("%d bytes are there, wanted %d: %v", have, want, err)
	}
}

func whole(t *testing.T, s Store) {
	for _, n := range []int{1, 511, 512, 513, 512<<10 - 1, 512 << 10, 512<<10 + 1, 3<<20 + 17} {
		b, a := content(n)
		hasNot(t, s, a)
		add(t, s, fmt.Sprint("k", n), 0, b, a, a.Size)
		has(t, s, a, b)
		// Readers give what they like at a time.
		b, a = content(n + 7)
		if _, err := s.Append(t.Context(), fmt.Sprint("h", n), 0, iotest.HalfReader(bytes.NewReader(b)), a); err != nil {
			t.Fatal(err)
		}
		has(t, s, a, b)
	}
}

func pieces(t *testing.T, s Store, reopen func(*testing.T, Store) Store) {
	b, a := content(2<<20 + 12345)
	for at := 0; at < len(b); {
		end := min(at+300_001, len(b))
		hasNot(t, s, a)
		add(t, s, "k", int64(at), b[at:end], a, int64(end))
		at = end
		s = reopen(t, s)
		if at < len(b) {
			if have, err := s.Offset("k"); err != nil || have != int64(at) {
				t.Fatalf("after a restart %d bytes, wanted %d: %v", have, at, err)
			}
		}
	}
	has(t, s, a, b)
}

func overlap(t *testing.T, s Store) {
	b, a := content(100_000)
	add(t, s, "k", 0, b[:60_000], a, 60_000)
	add(t, s, "k", 0, b[:1000], a, 60_000)
	add(t, s, "k", 50_000, b[50_000:70_000], a, 70_000)
	add(t, s, "k", 0, b, a, 100_000)
	has(t, s, a, b)
}

func hole(t *testing.T, s Store) {
	b, a := content(1000)
	add(t, s, "k", 0, b[:100], a, 100)
	var gap files.Gap
	if _, err := s.Append(t.Context(), "k", 101, bytes.NewReader(b[101:]), a); !errors.As(err, &gap) || gap.Have != 100 {
		t.Fatal(err)
	}
	add(t, s, "k", 100, b[100:], a, 1000)
	has(t, s, a, b)
}

func conflict(t *testing.T, s Store, b []byte, a files.Announced) {
	t.Helper()
	if _, err := s.Append(t.Context(), "k", 0, bytes.NewReader(b), a); !errors.As(err, new(debusine.Conflict)) {
		t.Fatal(err)
	}
	hasNot(t, s, a)
	if have, err := s.Offset("k"); have != 0 || err != nil {
		t.Fatalf("%d bytes of it stay: %v", have, err)
	}
}

func wrong(t *testing.T, s Store) {
	for _, n := range []int{10, 2 << 20} {
		b, a := content(n)
		bad := bytes.Clone(b)
		bad[n-1] ^= 1
		conflict(t, s, bad, a)
		add(t, s, "k", 0, b, a, a.Size)
		has(t, s, a, b)
	}
}

func long(t *testing.T, s Store) {
	for _, n := range []int{10, 2 << 20} {
		b, a := content(n)
		conflict(t, s, append(bytes.Clone(b), 'x'), a)
		conflict(t, s, append(bytes.Clone(b), make([]byte, 3<<20)...), a)
	}
}

func broken(t *testing.T, s Store) {
	b, a := content(3 << 20)
	cut := errors.New("the cable was cut")
	have, err := s.Append(t.Context(), "k", 0, io.MultiReader(bytes.NewReader(b[:1_500_000]), iotest.ErrReader(cut)), a)
	if !errors.Is(err, cut) || have != 1_500_000 {
		t.Fatal(have, err)
	}
	if at, err := s.Offset("k"); at != have || err != nil {
		t.Fatal(at, err)
	}
	add(t, s, "k", have, b[have:], a, a.Size)
	has(t, s, a, b)
}

func empty(t *testing.T, s Store) {
	_, a := content(0)
	add(t, s, "k", 0, nil, a, 0)
	has(t, s, a, nil)
}

func twice(t *testing.T, s Store) {
	b, a := content(5000)
	add(t, s, "one", 0, b, a, a.Size)
	add(t, s, "two", 0, b, a, a.Size)
	has(t, s, a, b)
}

func many(t *testing.T, s Store) {
	b, a := content(1 << 20)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := s.Append(t.Context(), "k", 0, iotest.OneByteReader(bytes.NewReader(b[:100])), a); err != nil {
				t.Error(err)
			}
			if _, err := s.Append(t.Context(), "k", 0, bytes.NewReader(b), a); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	has(t, s, a, b)
}

func swept(t *testing.T, s Store) {
	b, a := content(1000)
	add(t, s, "k", 0, b[:500], a, 500)
	if n, err := s.Sweep(time.Hour); n != 0 || err != nil {
		t.Fatalf("%d young uploads were swept away: %v", n, err)
	}
	if n, err := s.Sweep(-time.Second); n == 0 || err != nil {
		t.Fatalf("nothing was swept away: %v", err)
	}
	if have, err := s.Offset("k"); have != 0 || err != nil {
		t.Fatal(have, err)
	}
	add(t, s, "k", 0, b[:500], a, 500)
	if err := errors.Join(s.Forget("k"), s.Forget("k")); err != nil {
		t.Fatal(err)
	}
	add(t, s, "k", 0, b, a, 1000)
	has(t, s, a, b)
}

func names(t *testing.T, s Store) {
	b, a := content(10)
	for _, key := range []string{"", "a/b", "..", "a\x00", strings.Repeat("k", 300)} {
		if _, err := s.Append(t.Context(), key, 0, bytes.NewReader(b), a); !errors.As(err, new(debusine.Invalid)) {
			t.Errorf("key %q: %v", key, err)
		}
	}
	for _, sum := range []string{"", "../../etc/passwd", strings.ToUpper(a.SHA256), a.SHA256 + "0"} {
		if _, err := s.Open(sum); !errors.As(err, new(debusine.Invalid)) {
			t.Errorf("sum %q: %v", sum, err)
		}
		if _, err := s.Append(t.Context(), "k", 0, bytes.NewReader(b), files.Announced{Size: 10, SHA256: sum}); !errors.As(err, new(debusine.Invalid)) {
			t.Errorf("sum %q: %v", sum, err)
		}
	}
}

func cancelled(t *testing.T, s Store) {
	b, a := content(1000)
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), "k", 0, reader, a)
		ended <- err
	}()
	if _, err := writer.Write(b[:1]); err != nil { // now it has the lock
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := s.Append(ctx, "k", 0, bytes.NewReader(b), a); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	writer.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	add(t, s, "k", 0, b, a, a.Size)
}
