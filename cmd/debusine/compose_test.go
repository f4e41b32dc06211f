package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
	"gopkg.in/yaml.v3"

	"debusine/server"
	"debusine/stack"
	"debusine/worker"
	"debusine/worker/signing"
)

// composition is what this test reads of docker-compose.yml.
type composition struct {
	Services map[string]service   `yaml:"services"`
	Networks map[string]yaml.Node `yaml:"networks"`
	Volumes  map[string]yaml.Node `yaml:"volumes"`
}

type service struct {
	Image       string                  `yaml:"image"`
	Build       struct{ Target string } `yaml:"build"`
	Command     []string                `yaml:"command"`
	Environment map[string]string       `yaml:"environment"`
	Ports       []string                `yaml:"ports"`
	Mounts      []string                `yaml:"volumes"`
	Networks    []string                `yaml:"networks"`
	Platform    string                  `yaml:"platform"`
	DependsOn   yaml.Node               `yaml:"depends_on"`
}

var substitution = regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)

// compose reads docker-compose.yml with the defaults of its variables.
func compose(t *testing.T) composition {
	t.Helper()
	raw, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var c composition
	if err := yaml.Unmarshal(substitution.ReplaceAll(raw, []byte("$1")), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Services) < 8 {
		t.Fatalf("only %d services were read", len(c.Services))
	}
	return c
}

func TestDockerComposeAcceptsTheFile(t *testing.T) {
	if testing.Short() {
		t.Skip("needs docker-compose")
	}
	said, err := exec.Command("docker-compose", "-f", "../../docker-compose.yml", "--profile", "arm64", "config", "--services").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	got := strings.Fields(string(said))
	for name := range compose(t).Services {
		if !slices.Contains(got, name) {
			t.Errorf("docker-compose does not see the service %s in %q", name, got)
		}
	}
}

// accept parses the words of a command line as ours would, with the service's
// environment, and answers the values.
func accept(t *testing.T, s service) *flag.FlagSet {
	t.Helper()
	for name, value := range s.Environment {
		t.Setenv(name, value)
	}
	commands, words := []*urfave.Command{stack.DeploymentCommand(), server.Command(), worker.Command(), signing.Command()}, s.Command[1:]
	for {
		at := slices.IndexFunc(commands, func(c *urfave.Command) bool { return c.Name == words[0] })
		if at < 0 {
			t.Fatalf("there is no command %q", words[0])
		}
		command := commands[at]
		commands, words = command.Subcommands, words[1:]
		if len(commands) > 0 {
			continue
		}
		set := flag.NewFlagSet(command.Name, flag.ContinueOnError)
		set.SetOutput(io.Discard)
		known := []string{}
		for _, f := range command.Flags {
			if err := f.Apply(set); err != nil {
				t.Errorf("%s: %v", f.Names()[0], err)
			}
			known = append(known, f.(urfave.DocGenerationFlag).GetEnvVars()...)
		}
		if err := set.Parse(words); err != nil || set.NArg() > 0 {
			t.Errorf("%q is not accepted: %v, left %q", s.Command, err, set.Args())
		}
		for name := range s.Environment {
			if !slices.Contains(known, name) {
				t.Errorf("nothing reads %s", name)
			}
		}
		for _, f := range command.Flags {
			if needed, ok := f.(urfave.RequiredFlag); ok && needed.IsRequired() && set.Lookup(f.Names()[0]).Value.String() == "" {
				t.Errorf("--%s is missing", f.Names()[0])
			}
		}
		return set
	}
}

func value(set *flag.FlagSet, name string) string { return set.Lookup(name).Value.String() }

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

func TestEachCommandLineIsOneOfOurs(t *testing.T) {
	c := compose(t)
	roles := map[string]bool{}
	for name, s := range c.Services {
		if s.Command[0] != "debusine" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			set := accept(t, s)
			switch s.Command[1] {
			case "server":
				for role := range strings.SplitSeq(value(set, "roles"), ",") {
					if name == "signing-api" {
						continue // one more, which nobody but the signing worker reaches
					}
					if roles[role] {
						t.Errorf("two services have the role %s", role)
					}
					roles[role] = true
				}
				if got := value(set, "temporal"); got != "temporal:7233" {
					t.Errorf("it looks for Temporal at %s", got)
				}
			case "signing":
				if got := value(set, "api-url"); !strings.HasPrefix(got, "https://signing-api:") {
					t.Errorf("it looks for the API at %s", got)
				}
				for _, file := range []string{"token-file", "service-keys", "temporal-tls-key"} {
					if !strings.HasPrefix(value(set, file), "/deployment/signing/") {
						t.Errorf("--%s is %s, which others see or which dies with the container", file, value(set, file))
					}
				}
			case "worker":
				if arch := value(set, "arch"); name != "worker-"+arch || s.Platform != "linux/"+arch {
					t.Errorf("it is %s and builds for %s on %s", name, arch, s.Platform)
				}
				if got := value(set, "api-url"); got != "http://server:8011/api" {
					t.Errorf("it looks for the API at %s", got)
				}
				if !strings.HasPrefix(value(set, "token-file"), value(set, "state")+"/") {
					t.Errorf("its token %s dies with the container", value(set, "token-file"))
				}
			}
		})
	}
	for _, flag := range server.Command().Flags {
		if all, ok := flag.(*urfave.StringFlag); ok && all.Name == "roles" {
			for role := range strings.SplitSeq(all.Value, ",") {
				if !roles[role] {
					t.Errorf("nobody has the role %s", role)
				}
			}
		}
	}
}

// The published ports are those that the parts listen on.
func TestThePortsAreThoseOfTheParts(t *testing.T) {
	c := compose(t)
	set := accept(t, c.Services["server"])
	want := map[string][]string{
		"server":      {port(value(set, "listen")), port(value(set, "gateway-listen"))},
		"temporal-ui": {"7232"}, // TestPreparedConfigurations
	}
	for name, s := range c.Services {
		var got []string
		for _, published := range s.Ports {
			if !strings.HasPrefix(published, "127.0.0.1:") {
				t.Errorf("%s publishes %s to the world, in plain text", name, published)
			}
			got = append(got, port(published))
		}
		if !slices.Equal(got, want[name]) {
			t.Errorf("%s publishes %v, and listens on %v", name, got, want[name])
		}
	}
	for _, f := range server.Command().Flags {
		if f, ok := f.(*urfave.StringFlag); ok && (f.Name == "listen" || f.Name == "gateway-listen") && port(f.Value) != port(value(set, f.Name)) {
			t.Errorf("--%s is by default %s, and %s here", f.Name, f.Value, value(set, f.Name))
		}
	}
	if got := value(set, "gateway-address"); port(got) != port(value(set, "gateway-listen")) {
		t.Errorf("workers are told that the gateway is at %s", got)
	}
}

// Each path that a service is told lies in one of its volumes, each volume is
// declared, used, and owned in the image by who writes to it.
func TestTheVolumesHoldWhatTheServicesUse(t *testing.T) {
	c := compose(t)
	image, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	path := regexp.MustCompile(`/(?:deployment|var/lib)[\w/.-]*`)
	for name, s := range c.Services {
		var folders []string
		for _, mount := range s.Mounts {
			parts := strings.Split(mount, ":")
			used[parts[0]] = true
			folders = append(folders, parts[1])
			if _, ok := c.Volumes[parts[0]]; !ok {
				t.Errorf("%s mounts %s, which is not declared", name, parts[0])
			}
			if s.Build.Target != "" && !regexp.MustCompile(regexp.QuoteMeta(parts[1])+`(\s|$)`).Match(image) {
				t.Errorf("the image of %s has no folder %s", name, parts[1])
			}
		}
		for _, text := range append(slices.Collect(values(s.Environment)), s.Command...) {
			for _, file := range path.FindAllString(text, -1) {
				if !slices.ContainsFunc(folders, func(f string) bool { return file == f || strings.HasPrefix(file, f+"/") }) {
					t.Errorf("%s uses %s, which is in none of its volumes %v", name, file, folders)
				}
			}
		}
	}
	for volume := range c.Volumes {
		if !used[volume] {
			t.Errorf("the volume %s is not used", volume)
		}
	}
}

func values(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// Who is reached by hostile builds has nothing of the authority's, and reaches
// neither database nor Temporal.
func TestBuildMachinesAreKeptApart(t *testing.T) {
	c := compose(t)
	for name, s := range c.Services {
		steps := name == "prepare" || name == "schema" || name == "namespace"
		if holds := slices.ContainsFunc(s.Mounts, func(m string) bool { return strings.HasPrefix(m, "authority:") }); holds != steps {
			t.Errorf("%s mounts the authority's volume: %v", name, holds)
		}
		if strings.HasPrefix(name, "worker-") && !slices.Equal(s.Networks, []string{"machines"}) {
			t.Errorf("%s is in the networks %v", name, s.Networks)
		}
		if reached := slices.Contains(s.Networks, "machines"); reached && name != "server" && !strings.HasPrefix(name, "worker-") {
			t.Errorf("build machines reach %s", name)
		}
		if holds := slices.ContainsFunc(s.Mounts, func(m string) bool { return strings.HasPrefix(m, "signing:") }); holds != (name == "signing" || name == "prepare") {
			t.Errorf("%s mounts the volume of the service keys: %v", name, holds)
		}
		if reached := slices.Contains(s.Networks, "signing"); reached != slices.Contains([]string{"signing", "signing-api", "temporal", "postgresql"}, name) {
			t.Errorf("the signing worker reaches %s: %v", name, reached)
		}
		if name == "signing" && (len(s.Networks) != 1 || len(s.Ports) > 0) {
			t.Errorf("the signing worker is in the networks %v and publishes %v", s.Networks, s.Ports)
		}
		for _, network := range s.Networks {
			if _, ok := c.Networks[network]; !ok {
				t.Errorf("%s is in %s, which is not declared", name, network)
			}
		}
	}
}

// The images have the programs that the services start, built with the Go that
// the module asks for.
func TestTheImagesHoldThePrograms(t *testing.T) {
	image, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := map[string]string{}
	for stage := range strings.SplitSeq(string(image), "\nFROM ") {
		if head, _, _ := strings.Cut(stage, "\n"); strings.Contains(head, " AS ") {
			stages[head[strings.LastIndexByte(head, ' ')+1:]] = stage
		}
	}
	for name, s := range compose(t).Services {
		if s.Build.Target == "" {
			continue
		}
		if s.Image != "debusine-"+s.Build.Target {
			t.Errorf("%s is built as %s and named %s", name, s.Build.Target, s.Image)
		}
		if !strings.Contains(stages[s.Build.Target], "/src/bin/"+s.Command[0]) {
			t.Errorf("the image of %s has no %s", name, s.Command[0])
		}
	}
	module, err := os.ReadFile(filepath.Join("..", "..", "temporal-config", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(module)
	if want := fmt.Sprintf("golang:%s-", version[1]); !strings.Contains(stages["build"], want) {
		t.Errorf("the images are not built with %s", want)
	}
}
