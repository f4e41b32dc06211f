package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"debusine"
	"debusine/client"
)

const (
	large      = 1 << 30 // bytes
	transfers  = 3
	largeName  = "large"
	manyCount  = 500
	manySize   = 10_000 // bytes
	manyRounds = 3
)

// transfer moves a file of 1 GiB to the server and back, as a user's client does
// it: an upload is hashed before it is sent, a download while it comes. The
// baseline reads and hashes the same file with crypto/sha256, just before.
func transfer(ctx context.Context, h *house) ([]Row, error) {
	dir := filepath.Join(h.dir, "transfer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	local := filepath.Join(dir, largeName)
	if err := randomFile(local, large, 1); err != nil {
		return nil, err
	}
	before, err := several(lookTimes, func() (float64, error) { return h.memory("server") })
	if err != nil {
		return nil, err
	}
	stop := h.watchMemory("server")
	var hashed, up, down []float64
	for round := range transfers {
		if err = errors.Join(renew(local, round), touchMemory(filepath.Join(dir, "scratch"), 3*large)); err != nil {
			break
		}
		var t moved
		if t, err = h.there(ctx, local, filepath.Join(dir, "back")); err != nil {
			break
		}
		hashed, up, down = append(hashed, t.hashed), append(up, t.up), append(down, t.down)
	}
	most, looking := stop()
	if err != nil {
		return nil, err
	}
	return []Row{
		newRow("upload-1gib", median(up), "MiB/s", timesBaseline(0.3), median(hashed)),
		newRow("download-1gib", median(down), "MiB/s", timesBaseline(0.5), median(hashed)),
		newRow("transfer-memory", most-before, "MiB more", atMost(64), before),
	}, looking
}

// touchMemory has the machine hold so many bytes in its page cache for a moment.
// The host of a virtual machine may give memory at the first touch alone, ten
// times as slowly as it is written later: that would be measured, not the server.
func touchMemory(path string, bytes int64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer file.Close()
	zeros := make([]byte, mebibyte)
	for range bytes / mebibyte {
		if _, err := file.Write(zeros); err != nil {
			return err
		}
	}
	return nil
}

// moved are speeds in MiB a second.
type moved struct{ hashed, up, down float64 }

// there and back again.
func (h *house) there(ctx context.Context, local, back string) (m moved, err error) {
	if m.hashed, err = speed(func() error { return hash(local) }); err != nil {
		return m, err
	}
	var id int64
	m.up, err = speed(func() error {
		a, err := h.CreateArtifact(ctx, testArtifact(map[string]string{largeName: local}), nil)
		id = a.ID
		return err
	})
	if err != nil {
		return m, fmt.Errorf("uploading: %w", err)
	}
	artifact, err := h.Artifact(ctx, id)
	if err != nil {
		return m, err
	}
	to, err := os.Create(back)
	if err != nil {
		return m, err
	}
	defer os.Remove(back)
	defer to.Close()
	m.down, err = speed(func() error { return h.Download(ctx, artifact, largeName, to, nil) })
	return m, err
}

// speed is that of something done to the large file, in MiB a second.
func speed(do func() error) (float64, error) {
	began := time.Now()
	err := do()
	return large / mebibyte / time.Since(began).Seconds(), err
}

func hash(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(sha256.New(), file)
	return err
}

// randomFile writes bytes that nothing on the way can shrink.
func randomFile(path string, size int64, seed uint64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	to := bufio.NewWriterSize(file, mebibyte)
	if _, err := io.CopyN(to, rand.NewChaCha8(key), size); err != nil {
		return err
	}
	if err := to.Flush(); err != nil {
		return err
	}
	return file.Sync()
}

// renew makes another file of it: what a workspace holds already is not asked
// for again.
func renew(path string, round int) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "round %d", round); err != nil {
		return err
	}
	return file.Sync()
}

func testArtifact(files map[string]string) client.NewArtifact {
	return client.NewArtifact{Category: debusine.CategoryTest, Data: debusine.TestData{}, Workspace: workspace, Files: files}
}

// manyFiles uploads an artifact of many small files: a question of round trips
// and transactions.
func manyFiles(ctx context.Context, h *house) ([]Row, error) {
	dir := filepath.Join(h.dir, "many")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	seed := uint64(1)
	took, err := several(manyRounds, func() (float64, error) {
		files := map[string]string{}
		for i := range manyCount {
			name := fmt.Sprintf("file-%03d", i)
			files[name] = filepath.Join(dir, name)
			seed++
			if err := randomFile(files[name], manySize, seed); err != nil {
				return 0, err
			}
		}
		began := time.Now()
		_, err := h.CreateArtifact(ctx, testArtifact(files), nil)
		return time.Since(began).Seconds(), err
	})
	if err != nil {
		return nil, err
	}
	return []Row{newRow("artifact-500-files", took, "s", atMost(3), 0)}, nil
}
