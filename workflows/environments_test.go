package workflows_test

import (
	"encoding/json"
	"testing"

	"debusine"
	"debusine/task"
)

func TestUpdateEnvironmentsBootstrapsEachOnce(t *testing.T) {
	h := newHouse(t)
	o := h.run(t, "update_environments", `{"vendor": "debian", "targets": [{"codenames": ["bookworm", "trixie"], "codename_aliases": {"trixie": ["stable"]},
		"variants": ["sbuild"], "architectures": ["amd64", "i386"], "mmdebstrap_template": {"bootstrap_options": {"variant": "buildd"},
		"bootstrap_repositories": [{"mirror": "http://mirror.example/debian", "components": ["main"]}]}}]}`)
	if o.Result != debusine.Success || len(h.planned) != 4 {
		t.Fatalf("outcome %+v, %d steps", o, len(h.planned))
	}
	var last task.MmdebstrapData
	if err := json.Unmarshal(h.planned[3].Data, &last); err != nil {
		t.Fatal(err)
	}
	if last.BootstrapOptions.Architecture != "i386" || last.BootstrapRepositories[0].Suite != "trixie" {
		t.Errorf("the last bootstrap is %s", h.planned[3].Data)
	}
	if r := h.planned[3].Reactions.OnSuccess; len(r) != 2 || r[1].Variables["codename"] != "stable" || r[1].Variables["variant"] != "sbuild" {
		t.Errorf("an alias is not kept: %+v", r)
	}
	// A machine that was asked for one architecture may not replace another's environment.
	for _, r := range h.planned[3].Reactions.OnSuccess {
		if r.Filters["data__architecture"] != "i386" {
			t.Errorf("what it takes in is %v", r.Filters)
		}
	}
}

func TestUpdateEnvironmentsMakesImagesToo(t *testing.T) {
	h := newHouse(t)
	o := h.run(t, "update_environments", `{"vendor": "debian", "targets": [{"codenames": "trixie", "backends": "qemu", "architectures": ["amd64"],
		"simplesystemimagebuild_template": {"bootstrap_options": {"variant": "buildd"}, "bootstrap_repositories": [{"mirror": "http://mirror.example/debian"}],
		"disk_image": {"format": "qcow2", "partitions": [{"size": 10, "filesystem": "ext4", "mountpoint": "/"}]}}},
		{"codenames": "trixie", "architectures": ["amd64"], "mmdebstrap_template": {"bootstrap_options": {"variant": "buildd"}, "bootstrap_repositories": [{"mirror": "http://mirror.example/debian"}]}}]}`)
	if o.Result != debusine.Success || len(h.planned) != 2 {
		t.Fatalf("outcome %+v, %d steps", o, len(h.planned))
	}
	for i, category := range []string{"debian:system-image", "debian:system-tarball"} {
		if r := h.planned[i].Reactions.OnSuccess; len(r) != 1 || r[0].Filters["category"] != category {
			t.Errorf("%s: %+v", h.planned[i].Name, r)
		}
	}
	var image task.SystemImageBuildData
	if err := json.Unmarshal(h.planned[0].Data, &image); err != nil || image.BootstrapOptions.Architecture != "amd64" || image.BootstrapRepositories[0].Suite != "trixie" || image.DiskImage.KernelPackage != "linux-image-amd64" {
		t.Errorf("%s, %v", h.planned[0].Data, err)
	}
}
