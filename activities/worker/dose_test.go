package workeract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const doseReport = `output-version: 1.2
native-architecture: amd64
report:
 -
  package: sbuild-build-depends-main-dummy
  version: 0.invalid.0
  status: broken
  reasons:
   -
    missing:
     pkg:
      package: sbuild-build-depends-main-dummy
      unsat-dependency: no-such-package:amd64
 
background-packages: 63441
broken-packages: 1
`

func TestReportOfUninstallableDependencies(t *testing.T) {
	const solving, banner = "(I)Dose_applications: Solving...\n", "\n+------+\n| Cleanup |\n"
	tests := []struct{ name, log, want string }{
		{"a report", "x\n" + solving + doseReport + banner, "no-such-package, which nothing provides"},
		{"among bytes of another encoding", "\xff\xfe\n" + solving + doseReport + banner + "\xff", "no-such-package, which nothing provides"},
		{"after a line longer than any buffer", strings.Repeat("x", 1<<20) + "\n" + solving + doseReport + banner, "no-such-package, which nothing provides"},
		{"no report", "Status: failed\n", ""},
		{"what is not YAML", solving + "\t{[\n" + banner, ""},
		{"YAML of something else", solving + "a: b\n" + banner, ""},
		{"a bomb", solving + "a: &a [x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e]\nreport: [*f,*f,*f,*f,*f,*f,*f]\n" + banner, ""},
		{"a report without an end", solving + strings.Repeat("# x\n", doseSize), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(test.log), 0o644); err != nil {
				t.Fatal(err)
			}
			report := readDose(path)
			if (report == nil) != (test.want == "") {
				t.Fatalf("got %v", report)
			}
			if got := strings.Join(unsatisfied(report), " "); got != test.want {
				t.Errorf("unsatisfied: %s", got)
			}
		})
	}
}

func TestWordsOfAReport(t *testing.T) {
	const head = "output-version: 1.2\nreport:\n -\n  package: sbuild-build-depends-main-dummy\n  status: broken\n  reasons:\n"
	missing := func(who, what string) string {
		return "   -\n    missing:\n     pkg:\n      package: " + who + "\n      unsat-dependency: " + what + "\n"
	}
	tests := []struct{ name, reasons, want string }{
		{"of the source itself", missing("sbuild-build-depends-main-dummy", "no-such:amd64 (>= 2)"), "no-such (>= 2), which nothing provides"},
		{"of a package that it needs", missing("libbar-dev", "libfoo1:amd64 (= 1.0)"), "libbar-dev needs libfoo1 (= 1.0), which nothing provides"},
		{"alternatives", missing("x", "a:amd64 | b:any (<< 3)"), "x needs a | b (<< 3), which nothing provides"},
		{"the same twice", missing("x", "a") + missing("x", "a"), "x needs a, which nothing provides"},
		{"a conflict", "   -\n    conflict:\n     pkg1:\n      package: liba\n     pkg2:\n      package: libb\n", "liba and libb, which conflict"},
		{"half a conflict", "   -\n    conflict:\n     pkg1: liba\n", ""},
		{"escape sequences", missing("x", `"\e[2J"`), "x needs ?[2J, which nothing provides"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(unsatisfied(parseDose(head+test.reasons)), " "); got != test.want {
				t.Errorf("got %q", got)
			}
		})
	}
}
