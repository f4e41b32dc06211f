package signact_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/activities/signing"
	"debusine/api"
	"debusine/sign"
	"debusine/sign/signtest"
	"debusine/sign/vault"
)

// benchHouse is a server that holds artifacts whose files are to be signed.
type benchHouse struct {
	*house
	inputs  map[int64]*toSign
	order   []int64 // of the lookups
	purpose string
	mode    string
	judge   func(*api.SigningPermit, string) error
	fetched int
	outputs map[int64]signedOutput // by what it is related to
	last    signedOutput
	giving  func() // before an output is made
}

type toSign struct {
	data  debusine.SigningInputData
	files map[string][]byte
	sizes map[string]int64 // that the server claims, where it is another
}

type signedOutput struct {
	data  debusine.SigningOutputData
	files map[string][]byte
}

// newBench has a key for Secure Boot and, as artifact 21, an executable.
func newBench(t *testing.T) *benchHouse {
	t.Helper()
	b := benchIn(emptyHouse(t))
	b.otherKey(sign.UEFI)
	return b
}

func benchIn(h *house) *benchHouse {
	b := &benchHouse{house: h, purpose: "uefi", outputs: map[int64]signedOutput{}, inputs: map[int64]*toSign{}}
	b.put(21, debusine.SigningInputData{BinaryPackageName: "tinyboot"}, map[string][]byte{"tinyboot/usr/lib/tiny.efi": signtest.Executable("tiny")})
	return b
}

func (b *benchHouse) put(id int64, data debusine.SigningInputData, files map[string][]byte) {
	b.inputs[id], b.order = &toSign{data: data, files: files}, append(b.order, id)
}

func (b *benchHouse) SignWith(_ context.Context, fingerprint string, artifact int64, file string) (api.SigningPermit, error) {
	b.asked++
	p := api.SigningPermit{Asset: api.Asset{Data: api.SigningKey{Fingerprint: fingerprint}}, User: "alice", Artifact: artifact, MadeBy: 3, Files: map[string]string{}, Now: time.Now()}
	for name, content := range b.inputs[artifact].files {
		if file == "" || file == name {
			p.Files[name] = sum(content)
		}
	}
	if b.judge != nil {
		if err := b.judge(&p, file); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (b *benchHouse) Artifact(_ context.Context, id int64) (api.Artifact, error) {
	built := int64(3)
	in := b.inputs[id]
	raw, err := json.Marshal(in.data)
	b.must(err)
	a := api.Artifact{ID: id, Category: debusine.CategorySigningInput, CreatedByWorkRequest: &built, Data: raw, Files: map[string]api.File{}}
	for name, content := range in.files {
		size := int64(len(content))
		if other, ok := in.sizes[name]; ok {
			size = other
		}
		a.Files[name] = api.File{Size: size, Checksums: map[string]string{"sha256": sum(content)}}
	}
	return a, nil
}

func (b *benchHouse) Download(_ context.Context, id int64, path string, to *os.File) error {
	b.fetched++
	if !strings.HasPrefix(to.Name(), b.doer.Dir+"/") {
		b.Errorf("%s is fetched to %s", path, to.Name())
	}
	_, err := to.Write(b.inputs[id].files[path])
	return err
}

func (b *benchHouse) CreateFrom(_ context.Context, category string, data any, files map[string]string, same map[string]api.File) (int64, error) {
	if b.giving != nil {
		b.giving()
	}
	b.last = signedOutput{data.(debusine.SigningOutputData), map[string][]byte{}}
	for name, path := range files {
		raw, err := os.ReadFile(path)
		b.must(err)
		b.last.files[name] = raw
	}
	raw, err := json.Marshal(data)
	b.must(err)
	// The server would judge it so.
	if _, err := debusine.ParseArtifactData(category, raw, slices.Sorted(maps.Keys(files))); err != nil || len(same) > 0 {
		b.Errorf("%s %s: %v", category, raw, err)
	}
	return 100, nil
}

func (b *benchHouse) Relate(_ context.Context, artifact, target int64, kind string) error {
	if _, twice := b.outputs[target]; artifact != 100 || twice || kind != "relates-to" {
		b.Errorf("related %d %s %d", artifact, kind, target)
	}
	b.outputs[target] = b.last
	return nil
}

// sign does the task on all inputs.
func (b *benchHouse) sign() (signact.Outcome, error) {
	data, err := json.Marshal(map[string]any{"unsigned": b.order, "key": b.key.Fingerprint, "purpose": b.purpose, "mode": b.mode})
	b.must(err)
	dynamic, err := json.Marshal(map[string]any{"input_unsigned_ids": b.order})
	b.must(err)
	return b.doer.Do(b.Context(), signact.Job{WorkRequest: 9, Task: "sign", Data: data, Dynamic: dynamic}, b)
}

// mustSign expects a result.
func (b *benchHouse) mustSign(want debusine.Result) signact.Outcome {
	b.Helper()
	out, err := b.sign()
	if err != nil || out.Result != want {
		b.Fatalf("%+v, %v", out, err)
	}
	if left, err := os.ReadDir(b.doer.Dir); err != nil || len(left) > 0 {
		b.Errorf("files are left: %v, %v", left, err)
	}
	return out
}

// made counts the audit's entries of one kind.
func (b *benchHouse) made(event string) (n int) {
	b.Helper()
	_, err := b.vault.Verify(b.Context(), nil, func(e vault.Entry) error {
		if e.Event == event {
			n++
		}
		return nil
	})
	b.must(err)
	return n
}
