package task

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestAQueueIsNamedByWhatItsWorkRequiresAndProvides(t *testing.T) {
	amd64 := []string{"worker:build-arch:amd64"}
	with := func(tags ...string) []string { return append(slices.Clone(amd64), tags...) }
	for name, c := range map[string]struct {
		required, gates []string
		want            string
	}{
		"an architecture":                   {amd64, nil, "build/amd64"},
		"what it implies is left out":       {with(impliedBy("sbuild", nil)...), nil, "build/amd64"},
		"a task that is not the usual one":  {simpleTags("noop", "amd64", ""), nil, "build/amd64/noop"},
		"and what that implies is left out": {with(impliedBy("mmdebstrap", nil)...), nil, "build/amd64/mmdebstrap"},
		"the tool of another task is not":   {append(simpleTags("noop", "amd64", ""), "worker:cap:sbuild"), nil, "build/amd64/noop+cap:sbuild"},
		"another version is not implied":    {with("worker:task:worker:sbuild:version:2"), nil, "build/amd64+task:worker:sbuild:version:2"},
		"a class":                           {with("worker:class:big"), nil, "build/amd64+class:big"},
		"a gate":                            {amd64, []string{"task:workspace:debusine:security"}, "build/amd64~workspace:debusine:security"},
		"order and repetition do not count": {[]string{"worker:class:b", "worker:build-arch:amd64", "worker:class:a", "worker:class:b"}, nil, "build/amd64+class:a+class:b"},
		"another executor is not implied":   {with("worker:executor:qemu"), nil, "build/amd64+executor:qemu"},
		"two architectures":                 {with("worker:build-arch:i386"), nil, "build/amd64+build-arch:i386"},
		"no architecture implies nothing":   {[]string{"worker:type:worker"}, nil, "work+type:worker"},
		"nothing at all":                    {nil, nil, "work"},
		"a plus is escaped":                 {amd64, []string{"task:source-package:g++"}, "build/amd64~source-package:g%2B%2B"},
		"a slash is escaped":                {[]string{"worker:build-arch:../server"}, nil, "build/..%2Fserver"},
		"a tag of no family is marked":      {with("class:big"), nil, "build/amd64+!class:big"},
	} {
		if got := QueueName(c.required, c.gates); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
}

func TestALongNameEndsInAHashAndStaysApart(t *testing.T) {
	long := func(end string) []string {
		return []string{"worker:build-arch:amd64", "worker:class:" + strings.Repeat("x", 300) + end}
	}
	a, b := QueueName(long("a"), nil), QueueName(long("b"), nil)
	if len(a) > longest || a == b || !strings.HasPrefix(a, "build/amd64+class:xxx") || !MayPoll(a) {
		t.Errorf("%s and %s", a, b)
	}
}

// Pairs are made of few, nasty letters, so that any hole in the escaping is
// met soon.
func TestTwoPairsNeverShareAName(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"worker:task:worker:a:version:1", "worker:task:worker:", ":version:1", "sbuild", "worker:", "task:", "build-arch:", "class:", "worker:build-arch:a", "a", "+", "~", "!", "%", "2B", "/", "#", ":", "", "é", "work"}
	tag := func() string {
		var b strings.Builder
		for range random.IntN(4) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		return b.String()
	}
	set := func() (tags []string) {
		for range random.IntN(4) {
			tags = append(tags, tag())
		}
		return tagSet(tags)
	}
	seen := map[string]string{}
	for range 200_000 {
		required, gates := set(), set()
		name, pair := QueueName(required, gates), fmt.Sprintf("%q %q", QueueRequired(required), gates)
		if before, ok := seen[name]; ok && before != pair {
			t.Fatalf("%s and %s are both called %s", before, pair, name)
		}
		seen[name] = pair
		if name == ServerQueue || name == SigningQueue || !MayPoll(name) {
			t.Fatalf("%s is called %s", pair, name)
		}
	}
	if len(seen) < 10_000 {
		t.Fatalf("only %d names were tried", len(seen))
	}
}

func TestTheGatewayNeverPollsTheTrustedQueues(t *testing.T) {
	for name, may := range map[string]bool{
		"server": false, "signing": false, "": false, "build/": false, "worker/one": false, "build": false, "works": false, "/_sys/server/1": false,
		"SIGNING": false, "build/amd64": true, "work+type:worker": true, "work": true, "work~scope:a": true,
	} {
		if MayPoll(name) != may {
			t.Errorf("MayPoll(%q) is %v", name, !may)
		}
	}
}

func TestPriorityKeysKeepTheOrderOfPriorities(t *testing.T) {
	last := 5
	for effective := -50; effective <= 50; effective++ {
		key := PriorityKey(effective)
		if key < 1 || key > last {
			t.Fatalf("priority %d has key %d after %d", effective, key, last)
		}
		last = key
	}
	if PriorityKey(0) != 3 || last != 1 {
		t.Errorf("0 has key %d, 50 has key %d", PriorityKey(0), last)
	}
}

func TestFairnessKeysFitIntoTemporalsAndStayApart(t *testing.T) {
	long := strings.Repeat("w", 80)
	seen := map[string]string{}
	for _, c := range [][2]string{{"debusine", "System"}, {"other", "System"}, {"debusine", long + "a"}, {"debusine", long + "b"}, {"debusine", ""}} {
		key := FairnessKey(c[0], c[1])
		if before, met := seen[key]; met || len(key) > 64 || key == "" {
			t.Errorf("%q has the key %q, as %s has", c, key, before)
		}
		seen[key] = c[0] + "/" + c[1]
	}
	if seen["debusine/System"] == "" {
		t.Errorf("a short name is not shown as it is: %q", seen)
	}
}

func TestAMachineWithOneBackendGetsItsWork(t *testing.T) {
	for backend, want := range map[string]string{"unshare": "build/amd64", "qemu": "build/amd64+executor:qemu", "incus-lxc": "build/amd64+executor:incus-lxc"} {
		d := SbuildData{Backend: backend, BuildArchitecture: "amd64"}
		if name := QueueName(d.Requires(), nil); name != want {
			t.Errorf("%s: queue %s", backend, name)
		}
		needed := QueueRequired(d.Requires())
		for _, b := range Backends() {
			if slices.Contains(needed, "worker:executor:"+b) != (b == backend) {
				t.Errorf("%s: its machines need %q", backend, needed)
			}
		}
	}
}
