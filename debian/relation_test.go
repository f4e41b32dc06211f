package debian

import (
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

func TestParseRelations(t *testing.T) {
	for name, c := range map[string][2]string{
		"a name alone":                          {"hello", "hello"},
		"a version":                             {"hello(>=2:1.0~)", "hello (>= 2:1.0~)"},
		"the old operators":                     {"a1 (< 1), b2 (> 2)", "a1 (<= 1), b2 (>= 2)"},
		"alternatives":                          {"aa|bb ( << 1 )", "aa | bb (<< 1)"},
		"a qualifier":                           {"python3:any (>= 3)", "python3:any (>= 3)"},
		"another architecture's package":        {"libc6:i386", "libc6:i386"},
		"architectures":                         {"aa [ linux-any  !hurd-any]", "aa [linux-any !hurd-any]"},
		"architectures in capitals, as dpkg":    {"aa [AMD64]", "aa [amd64]"},
		"profiles":                              {"aa <!nocheck> < cross  !stage1 >", "aa <!nocheck> <cross !stage1>"},
		"profiles without a blank between":      {"aa<stage1><stage2>", "aa <stage1> <stage2>"},
		"everything":                            {"aa:native (= 1-1) [any] <!nodoc>", "aa:native (= 1-1) [any] <!nodoc>"},
		"lines that are folded, a comma behind": {"\n aa,\n bb\n (>= 1),\n", "aa, bb (>= 1)"},
		"nothing":                               {" \n", ""},
		"a comma alone":                         {",", ""},
	} {
		t.Run(name, func(t *testing.T) {
			relations, err := ParseRelations(c[0])
			if err != nil || relations.String() != c[1] {
				t.Fatalf("got %s, %v", relations, err)
			}
			again, err := ParseRelations(relations.String())
			if err != nil || again.String() != c[1] {
				t.Errorf("read again it is %s, %v", again, err)
			}
		})
	}
}

func TestParseRelationsRefuses(t *testing.T) {
	for name, field := range map[string]string{
		"no name":                          "(>= 1)",
		"a name in capitals":               "Hello",
		"an empty member":                  "aa, , bb",
		"a comma in front":                 ", aa",
		"an empty alternative":             "aa || bb",
		"a bar at the end":                 "aa |",
		"a substitution variable":          "${shlibs:Depends}",
		"a version without an operator":    "aa (1.0)",
		"an operator without a version":    "aa (>=)",
		"an operator that is none":         "aa (== 1)",
		"an operator turned round":         "aa (=> 1)",
		"a version that is none":           "aa (>= x)",
		"a parenthesis that stays open":    "aa (>= 1",
		"a bracket that stays open":        "aa [amd64",
		"an angle bracket that stays open": "aa <!nocheck",
		"no architecture in brackets":      "aa []",
		"no profile in brackets":           "aa <>",
		"a mark alone":                     "aa [!]",
		"a doubled mark":                   "aa <!!nocheck>",
		"an empty qualifier":               "aa: (>= 1)",
		"a qualifier with a slash":         "aa:a/b",
		"parts in the wrong order":         "aa <!nocheck> [amd64]",
		"two versions":                     "aa (>= 1) (<< 2)",
		"words behind":                     "aa bb",
		"a shell's":                        "aa $(id)",
	} {
		if relations, err := ParseRelations(field); !isMalformed(err) || relations != nil {
			t.Errorf("%s: %q is %v, %v", name, field, relations, err)
		}
	}
}

func TestReduce(t *testing.T) {
	const field = "always, linux [linux-any], notarm [!any-arm !hurd-any], check <!nocheck>, cross <cross !nocheck> <stage1>, " +
		"either [amd64] | other [i386] | third"
	for name, c := range map[string][3]string{
		"the usual machine":               {"amd64", "", "always, linux, notarm, check, either | third"},
		"a wildcard that is negated":      {"armhf", "", "always, linux, check, third"},
		"no Linux":                        {"hurd-i386", "", "always, check, third"},
		"a profile that takes away":       {"i386", "nocheck", "always, linux, notarm, other | third"},
		"a term of two profiles":          {"i386", "cross", "always, linux, notarm, check, cross, other | third"},
		"the second term of a formula":    {"i386", "stage1 nocheck", "always, linux, notarm, cross, other | third"},
		"a machine that dpkg has not got": {"wasm99", "", "always, notarm, check, third"},
	} {
		relations, err := ParseRelations(field)
		if err != nil {
			t.Fatal(err)
		}
		if got := relations.Reduce(Arch(c[0]), strings.Fields(c[1])).String(); got != c[2] {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := (Relations{}).Reduce("amd64", nil); got != nil {
		t.Errorf("nothing became %v", got)
	}
}

func TestPackagesOfRelations(t *testing.T) {
	relations, err := ParseRelations("zz | aa, aa (>= 1), mm:any")
	if got := strings.Join(relations.Packages(), " "); err != nil || got != "aa mm zz" {
		t.Errorf("%s, %v", got, err)
	}
}

// reduceAsDpkg compares fields, each for a machine and profiles, with
// Dpkg::Deps.
func reduceAsDpkg(t *testing.T, fields []string) {
	t.Helper()
	hosts := []string{"amd64", "armhf", "hurd-i386", "kfreebsd-amd64", "x32", "s390x"}
	profiles := []string{"", "nocheck", "stage1", "cross nocheck", "nodoc noinsttest", "pkg.foo.bar"}
	var questions []string
	for i, field := range fields {
		questions = append(questions, strings.Join([]string{hosts[i%len(hosts)], profiles[i/2%len(profiles)], field}, "\t"))
	}
	answers := askPerl(t, questions, `my ($host, $profiles, $field) = split /\t/, $_, 3;
		my $all = deps_parse($field, build_dep => 1);
		my $some = deps_parse($field, build_dep => 1, reduce_restrictions => 1, host_arch => $host, build_profiles => [split / /, $profiles]);
		print defined $all ? $all->output() : "?", "\t", defined $some ? $some->output() : "?", "\n";`)
	for i, question := range questions {
		part := strings.SplitN(question, "\t", 3)
		whole, err := ParseRelations(part[2])
		if err != nil {
			t.Errorf("%q: %v, dpkg says %s", part[2], err, answers[i])
			continue
		}
		got := strings.ToLower(whole.String()) + "\t" + whole.Reduce(Arch(part[0]), strings.Fields(part[1])).String()
		all, some, _ := strings.Cut(answers[i], "\t")
		if got != strings.ToLower(all)+"\t"+some {
			t.Errorf("%s with %q:\n%s\nwe:   %s\ndpkg: %s", part[0], part[1], part[2], got, answers[i])
		}
	}
}

func TestReducesAsDpkg(t *testing.T) {
	var fields []string
	for _, archs := range []string{"", " [amd64 i386]", " [linux-any]", " [!linux-any]", " [any-i386 !x32]", " [!armhf !any-amd64]", " [hurd-any kfreebsd-any]", " [gnu-any-any]"} {
		for _, formula := range []string{"", " <!nocheck>", " <stage1>", " <!stage1 !cross>", " <cross nocheck> <stage1>", " <!nodoc> <!noinsttest>", " <pkg.foo.bar>"} {
			fields = append(fields, "aa:any (>= 1)"+archs+formula+" | bb:native"+formula+", cc (<< 2~)"+archs+",dd")
		}
	}
	reduceAsDpkg(t, fields)
	reduceAsDpkg(t, append([]string{"zz"}, fields...)) // other machines and profiles meet other fields
	reduceAsDpkg(t, append([]string{"zz", "zz"}, fields...))
}

// status is what dpkg's status file holds of a package.
func status(name, version, arch, more string) string {
	return "Package: " + name + "\nStatus: install ok installed\nVersion: " + version + "\nArchitecture: " + arch + "\n" + more + "\n"
}

// theMachine is made up, with a package for each rule.
func theMachine() string {
	return status("make", "4.3", "amd64", "Multi-Arch: allowed\n") + status("gcc", "4:12", "amd64", "") +
		status("tools", "2", "all", "Multi-Arch: foreign\nProvides: virtual, versioned (= 3)\n") +
		status("libfoo", "1", "amd64", "Multi-Arch: same\n") + status("libfoo", "1", "i386", "Multi-Arch: same\n") +
		status("only386", "1", "i386", "") + status("odd", "1", "all", "Provides: strange (>= 9)\n") +
		strings.Replace(status("gone", "1", "amd64", ""), "install ok installed", "deinstall ok config-files", 1)
}

func readInstalled(t *testing.T, text string) *Installed {
	t.Helper()
	machine := &Installed{Build: "amd64", Host: "amd64"}
	for r := NewReader(strings.NewReader(text)); ; {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return machine
		}
		if err == nil {
			err = machine.Add(p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestUnmetAsDpkg asks dpkg-checkbuilddeps what it misses. The program takes a
// quarter of a second, so it is told all relations at once.
func TestUnmetAsDpkg(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, folder+"/status", theMachine(), 0o644)
	fields := "make, make:any, make:native, make (>> 4.3), make (>= 4.3), gcc:any, gcc (<< 4:12), gcc (>> 11), " +
		"tools:any, tools:native, tools, virtual, virtual (>= 1), versioned (>= 2), versioned (>> 3), odd, strange (= 9), " +
		"libfoo:i386, libfoo:armhf, libfoo, only386, only386:i386, gone, nothing | make, nothing, none | neither"
	relations, err := ParseRelations(fields)
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command("dpkg-checkbuilddeps", "-I", "-a", "amd64", "--admindir="+folder, "-d", fields, "/dev/stdin")
	run.Stdin = strings.NewReader("Source: x\n\nPackage: x\nArchitecture: any\n")
	run.Env = append(run.Environ(), "DEB_BUILD_ARCH=amd64", "LC_ALL=C")
	said, _ := run.CombinedOutput()
	_, want, found := strings.Cut(string(said), "error: Unmet build dependencies: ")
	if !found {
		t.Fatalf("dpkg-checkbuilddeps said %s", said)
	}
	var got []string
	for _, unmet := range readInstalled(t, theMachine()).Unmet(relations) {
		got = append(got, unmet.String())
	}
	if strings.Join(got, " ") != strings.TrimSpace(want) {
		t.Errorf("unmet are\n%s\nand for dpkg-checkbuilddeps\n%s", strings.Join(got, " "), want)
	}
}

func TestInstalledRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"a version that is none":  status("aa", "x", "amd64", ""),
		"a Provides that is none": status("aa", "1", "amd64", "Provides: (1)\n"),
	} {
		p, err := NewReader(strings.NewReader(text)).Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := new(Installed).Add(p); !isMalformed(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseRelations(f *testing.F) {
	for _, seed := range []string{"aa:any (>= 1) [linux-any !i386] <!nocheck> <a b> | bb, cc", "aa,", "aa (", "a<>", "aa [!] "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		relations, err := ParseRelations(field)
		if err != nil {
			if !isMalformed(err) {
				t.Errorf("an error that is no Malformed: %v", err)
			}
			return
		}
		again, err := ParseRelations(relations.String())
		if err != nil || again.String() != relations.String() {
			t.Errorf("%q became %s and then %s, %v", field, relations, again, err)
		}
		for _, host := range []Arch{"amd64", "armhf"} {
			for _, one := range relations.Reduce(host, []string{"nocheck"}) {
				if strings.ContainsAny(one.String(), "[]") || len(one) == 0 {
					t.Errorf("%q left %s", field, one)
				}
			}
		}
	})
}
