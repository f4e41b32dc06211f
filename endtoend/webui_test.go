package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	sdkpb "go.temporal.io/api/sdk/v1"

	"debusine/stack"
)

// startByHand starts a build as a person does, with the command line, and gives
// the workflow and the address that the command prints.
func (h *house) startByHand(t *testing.T, artifact int64, codename string) (root int64, link string) {
	t.Helper()
	cmd := exec.Command(built.bin, "workflow", "start", "--no-template", "sbuild", "--set", fmt.Sprintf("input.source_artifact=%d", artifact),
		"--set", "architectures=[amd64]", "--set", "target_distribution=debian:"+codename)
	cmd.Env = append(os.Environ(), "DEBUSINE_CONFIG_FILE="+h.ClientConfig())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("debusine workflow start: %v\n%s", err, out)
	}
	said := regexp.MustCompile(`(?s)^workflow (\d+) .*Web UI +(http\S+)`).FindSubmatch(out)
	if said == nil {
		t.Fatalf("workflow start names no workflow and no link:\n%s", out)
	}
	root, _ = strconv.ParseInt(string(said[1]), 10, 64)
	return root, string(said[2])
}

// webUIShows opens in a browser the link of a build of the package "fine" that
// has ended, and the tab of its search attributes. What the Web UI shows in frames,
// which the text of a page lacks, is asked for as the Web UI asks.
func (h *house) webUIShows(t *testing.T, root int64, link, codename string) {
	t.Helper()
	browse(t, link, fmt.Sprintf("/%d/sbuild/fine_1.0", root), `"amd64"`, "sbuild", `"result": "success"`)
	browse(t, link+"/search-attributes", "Source", "fine", "Version", "1.0", "Suite", codename, "Architecture", "amd64", "Result", "success", "Workspace", "System")
	details := h.currentDetails(t, link)
	for _, text := range []string{"Building fine 1.0 for debian:" + codename, "1 of 1 ended", "Build fine_1.0 on amd64: **success**", "Result: **success**"} {
		if !strings.Contains(details, text) {
			t.Errorf("%q is not in the details:\n%s", text, details)
		}
	}
}

// currentDetails asks a workflow how it stands, by the ids in its link.
func (h *house) currentDetails(t *testing.T, link string) string {
	t.Helper()
	words := strings.Split(link, "/")
	id, err := url.PathUnescape(words[len(words)-2])
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	c, err := h.Client(ctx, stack.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer, err := c.QueryWorkflow(ctx, id, words[len(words)-1], "__temporal_workflow_metadata")
	if err != nil {
		t.Fatal(err)
	}
	var about sdkpb.WorkflowMetadata
	if err := answer.Get(&about); err != nil {
		t.Fatal(err)
	}
	return about.CurrentDetails
}

// browse opens a page in headless Chromium until it shows all the texts.
func browse(t *testing.T, address string, texts ...string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		shown := page(t, address)
		missing := ""
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s does not show %q:\n%s", address, missing, tail([]byte(shown), 3000))
			return
		}
	}
}

// page is the text of a page once its scripts have run. Chromium gets a process
// group and a profile of its own, which end with it.
func page(t *testing.T, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := []string{"--headless", "--disable-gpu", "--window-size=1400,2000", "--user-data-dir=" + t.TempDir(), "--virtual-time-budget=20000", "--dump-dom", address}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...) // its sandbox refuses root
	}
	var dom, words bytes.Buffer
	cmd := exec.CommandContext(ctx, "chromium", args...)
	cmd.Stdout, cmd.Stderr = &dom, &words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		t.Fatalf("chromium: %v\n%s\nhint: make test-deps", err, tail(words.Bytes(), 2000))
	}
	return visible(dom.String())
}

// visible is what a person reads of a page: without scripts, styles and tags, with
// single spaces.
func visible(dom string) string {
	for _, cut := range []string{`(?s)<(script|style)\b.*?</(script|style)>`, `<[^>]*>`} {
		dom = regexp.MustCompile(cut).ReplaceAllString(dom, "")
	}
	dom = strings.NewReplacer("&quot;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">", "&nbsp;", " ", "\u00a0", " ").Replace(dom)
	return strings.Join(strings.Fields(dom), " ")
}
