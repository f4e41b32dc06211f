package executor_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"debusine/executor"
	"debusine/executor/executortest"
)

// withDevice gives each command a device.
type withDevice struct{ *executor.Machine }

func (w withDevice) Run(ctx context.Context, c executor.Command) (executor.Result, error) {
	c.Devices = []string{"/dev/null"}
	return w.Machine.Run(ctx, c)
}

func TestADeviceIsTheJobsOwn(t *testing.T) {
	needRoot(t)
	m := executortest.Open(t)
	run := func(c executor.Command) string {
		t.Helper()
		f := executortest.NewFolder(t, m)
		c.Folder, c.Output = f, filepath.Join(f.Path, "log")
		if _, err := m.Run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return readFile(t, c.Output)
	}
	const look = `stat -c %u:%a /dev/zero; head -c 3 /dev/zero | od -An -tx1; echo x > /dev/kmsg; ls /dev/zero-2 2>/dev/null`
	said := run(executor.Command{Argv: []string{"sh", "-c", look}, Devices: []string{"/dev/zero"}})
	if owner := strings.SplitN(said, "\n", 2)[0]; owner == "0:666" || !strings.HasSuffix(owner, ":600") || !strings.Contains(said, " 00 00 00\n") {
		t.Errorf("the job sees %q", said)
	}
	if said := run(executor.Command{Argv: []string{"stat", "-c", "%u:%a", "/dev/zero"}}); said != "0:666\n" {
		t.Errorf("the next one sees %q", said)
	}
}

func TestADeviceThatIsNoneIsTheMachinesError(t *testing.T) {
	needRoot(t)
	m := executortest.Open(t)
	for _, device := range []string{"/dev/no-such", "/etc/passwd", "/dev/vda"} {
		f := executortest.NewFolder(t, m)
		_, err := m.Run(t.Context(), executor.Command{Argv: []string{"true"}, Folder: f, Output: filepath.Join(f.Path, "log"), Devices: []string{device}})
		if err == nil || !strings.Contains(err.Error(), device) {
			t.Errorf("%s: %v", device, err)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
