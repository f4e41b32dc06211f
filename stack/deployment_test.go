package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func prepared(t *testing.T, frontend string) (dir string) {
	t.Helper()
	dir = string(newFolder(t))
	d, err := openDeployment(dir, "postgresql", frontend)
	if err != nil && testing.Short() && strings.Contains(err.Error(), "make build") {
		t.Skip("needs Temporal's programs")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := d.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Frontend and Web UI listen to other machines, at the ports that
// docker-compose.yml publishes; the services behind them do not.
func TestPreparedConfigurations(t *testing.T) {
	dir := prepared(t, "temporal:7233")
	var server struct {
		Services map[string]struct {
			RPC struct {
				GRPCPort        int    `yaml:"grpcPort"`
				BindOnIP        string `yaml:"bindOnIP"`
				BindOnLocalHost bool   `yaml:"bindOnLocalHost"`
			} `yaml:"rpc"`
		} `yaml:"services"`
		Dynamic struct{ Filepath string } `yaml:"dynamicConfigClient"`
	}
	readYAML(t, filepath.Join(dir, "temporal", "server.yaml"), &server)
	for name, s := range server.Services {
		if name == "frontend" {
			if s.RPC.GRPCPort != 7233 || s.RPC.BindOnIP != "0.0.0.0" || s.RPC.BindOnLocalHost {
				t.Errorf("the frontend is at %+v", s.RPC)
			}
		} else if !s.RPC.BindOnLocalHost {
			t.Errorf("others reach %s", name)
		}
	}
	if len(server.Services) != 4 {
		t.Errorf("there are %d services", len(server.Services))
	}
	var dynamic map[string][]struct{ Value any }
	readYAML(t, server.Dynamic.Filepath, &dynamic)
	if ring := dynamic["system.enableRingpopTLS"]; len(ring) != 1 || ring[0].Value != true {
		t.Error("the ring's ports are plain text")
	}
	var ui struct {
		Temporal string `yaml:"temporalGrpcAddress"`
		Host     string
		Port     int
		ReadOnly bool `yaml:"disableWriteActions"`
	}
	readYAML(t, filepath.Join(dir, "ui", "config", "debusine.yaml"), &ui)
	if ui.Temporal != "temporal:7233" || ui.Host != "0.0.0.0" || ui.Port != 7232 || !ui.ReadOnly {
		t.Errorf("the Web UI is configured as %+v", ui)
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// Each part gets its own secrets and nobody else's.
func TestPreparedSecretsAreKeptApart(t *testing.T) {
	dir := prepared(t, "temporal:7233")
	all := &postgres{folder: folder(filepath.Join(dir, "authority"))}
	if err := all.readPasswords(); err != nil {
		t.Fatal(err)
	}
	for part, may := range map[string][]string{"postgresql": {roleAll}, "temporal": {roleTemporal}, "ui": nil, "server": {roleOurs}, "signing": {roleSigning}} {
		text := everything(t, filepath.Join(dir, part))
		for role, word := range all.passwords {
			if has, should := strings.Contains(text, word), fmt.Sprint(may) == fmt.Sprint([]string{role}); has != should {
				t.Errorf("%s knows the password of %s: %v", part, role, has)
			}
		}
		key, err := os.ReadFile(filepath.Join(dir, "authority", "pki", "ca.key"))
		if err != nil || strings.Contains(text, string(key)) {
			t.Errorf("%s has the authority's key (%v)", part, err)
		}
	}
	for _, file := range []string{"temporal/server.key", "temporal/server.yaml", "ui/ui.key", "server/client.key", "server/pgpass", "server/signing-api.key", "signing/pgpass", "signing/signing.key"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}

// The service keys are in one place alone, and stay when the step is done again.
func TestPreparedServiceKeysStay(t *testing.T) {
	dir := prepared(t, "temporal:7233")
	file := filepath.Join(dir, "signing", "service.keys")
	keys, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("%v, %v", info, err)
	}
	for _, other := range []string{"authority", "server", "temporal", "ui", "postgresql"} {
		if strings.Contains(everything(t, filepath.Join(dir, other)), strings.Fields(string(keys))[len(strings.Fields(string(keys)))-1]) {
			t.Errorf("%s has the service keys", other)
		}
	}
	d, err := openDeployment(dir, "postgresql", "temporal:7233")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(file); err != nil || string(again) != string(keys) {
		t.Errorf("other service keys after the second time (%v)", err)
	}
	conf, err := folder(filepath.Join(dir, "authority")).loadPair(deploymentAPI)
	if err != nil || conf.cert.VerifyHostname("signing-api") != nil {
		t.Errorf("the API's certificate is for %v (%v)", conf.cert.DNSNames, err)
	}
}

func everything(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(file string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(file)
		all.Write(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// A later start keeps what there is; another name for Temporal makes a new
// certificate of the same authority.
func TestPreparingAgain(t *testing.T) {
	dir := prepared(t, "temporal:7233")
	before := everything(t, dir)
	again := func(frontend string) {
		d, err := openDeployment(dir, "postgresql", frontend)
		if err == nil {
			err = d.prepare(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	again("temporal:7233")
	if everything(t, dir) != before {
		t.Error("the second time changed something")
	}
	f := folder(filepath.Join(dir, "authority"))
	old, err := f.loadPair("ca")
	if err != nil {
		t.Fatal(err)
	}
	again("engine.example.org:7233")
	now, err := f.loadPair("ca")
	server, err2 := f.loadPair("server")
	if err != nil || err2 != nil || !now.cert.Equal(old.cert) || server.cert.VerifyHostname("engine.example.org") != nil {
		t.Errorf("the certificates after another name: %v, %v", err, err2)
	}
}

func TestADeploymentRefusesWhatCannotBe(t *testing.T) {
	for name, frontend := range map[string]string{"no port": "temporal", "no host": ":7233", "a word": "temporal:high", "no room above": "temporal:65530", "no room below": "temporal:2"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(string(newFolder(t)), "new")
			if _, err := openDeployment(dir, "postgresql", frontend); err == nil || !strings.Contains(err.Error(), "hint:") {
				t.Errorf("%q is answered with %v", frontend, err)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("it left a folder")
			}
		})
	}
}
