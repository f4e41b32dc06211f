package dput_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"debusine/dput"
	"debusine/dput/dputtest"
)

type post = dputtest.Post

const replacing = dputtest.Replacing

// scissors cut connections: all that are open, once, after some bytes have gone
// up to the server or come down from it.
type scissors struct {
	up, down atomic.Int64 // bytes so far, of all connections
	cutUp    int64        // 0: never
	cutDown  int64
	cut      atomic.Bool
}

// dial connects through a pair of goroutines that count.
func (s *scissors) dial(ctx context.Context, network, address string) (net.Conn, error) {
	far, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &snipped{far, s}, nil
}

type snipped struct {
	net.Conn
	s *scissors
}

var errCut = errors.New("the line is cut")

// Write gives the server what is left before the cut, then nothing.
func (c *snipped) Write(b []byte) (int, error) {
	s := c.s
	if at := s.cutUp; at > 0 && !s.cut.Load() {
		if left := at - s.up.Load(); int64(len(b)) > left {
			n, _ := c.Conn.Write(b[:max(left, 0)])
			s.cut.Store(true)
			c.Close()
			return n, errCut
		}
	}
	n, err := c.Conn.Write(b)
	s.up.Add(int64(n))
	return n, err
}

// Read loses the answer that crosses the cut.
func (c *snipped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	s := c.s
	if s.down.Add(int64(n)) > s.cutDown && s.cutDown > 0 && !s.cut.Swap(true) {
		c.Close()
		return 0, errCut
	}
	return n, err
}

// goods are an upload of some files, the larger in several packets.
func goods(p *post, sizes ...int) dput.Parcel {
	parcel := dput.Parcel{Target: p.Target}
	for i, size := range sizes {
		parcel.Files = append(parcel.Files, fileOf(fmt.Sprintf("hello_2.10-%d.tar.xz", i), bytes.Repeat([]byte{byte('a' + i), '\r', '\n'}, size/3)))
	}
	parcel.Changes = fileOf("hello_2.10_source.changes", bytes.Repeat([]byte("Format: 1.8\n"), 300))
	return parcel
}

type held struct{ *bytes.Reader }

func (held) Close() error { return nil }

func fileOf(name string, content []byte) dput.File {
	return dput.File{Name: name, Size: int64(len(content)), SHA256: sumOf(content),
		Open: func() (io.ReadSeekCloser, error) { return held{bytes.NewReader(content)}, nil }}
}

func contentOf(t *testing.T, f dput.File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// isThere compares bytes.
func isThere(t *testing.T, dir string, parcel dput.Parcel) {
	t.Helper()
	for _, f := range append(parcel.Files, parcel.Changes) {
		got, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil || !bytes.Equal(got, contentOf(t, f)) {
			t.Errorf("%s: %d bytes lie there, not those %d: %v", f.Name, len(got), f.Size, err)
		}
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}
