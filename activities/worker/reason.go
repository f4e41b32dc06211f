package workeract

import (
	"fmt"
	"strings"

	"debusine"
)

// judge says of a build that sbuild ended by itself whose matter its failure
// is, and why in one sentence, by the stage that sbuild names (see failstage
// in sbuild's Build.pm) and by the words of apt, dpkg-source and dpkg.
func (v *verdict) judge(stage string, w words) {
	switch stage {
	case "install-deps", "explain-bd-uninstallable", "apt-get-clean", "apt-get-update", "apt-get-upgrade", "apt-get-dist-upgrade", "apt-get-distupgrade":
		v.judgePackages(stage, w)
	case "init", "create-session", "lock-session", "create-build-dir", "chroot-arch", "run-chroot-setup-commands", "resolver setup":
		v.result, v.code = debusine.Error, "environment-failed"
		v.reason = because("sbuild cannot work in the environment", w.sbuild)
	case "fetch-src", "unpack":
		v.code = "unpack-failed"
		v.reason = because("the source package cannot be unpacked", or(w.source, w.sbuild))
	case "check-unpacked-version":
		v.code = "unpack-failed"
		v.reason = because("debian/changelog of the source package cannot be read", w.sbuild)
	case "check-architecture", "arch-check":
		v.code = "wrong-architecture"
		v.reason = because("the source package is not for this architecture", w.sbuild)
	case "check-space":
		v.result, v.code = debusine.TemporaryFailure, "disk-full"
		v.reason = because("the build machine has too little disk space for this source package", w.sbuild)
	case "build", "dpkg-buildpackage":
		v.reason = because("the build failed", or(w.stalled, w.build, w.sbuild))
	case "parse-changes", "source-only-changes", "post-build":
		v.reason = because("what the build left cannot be used", w.sbuild)
	default:
		v.reason = fmt.Sprintf("the build ended with status %q", v.summary.status())
		if stage != "" {
			v.reason += ", in stage " + stage
		}
		v.reason = because(v.reason, w.sbuild)
	}
}

// judgePackages is for what apt did before the build. A mirror that was away
// explains also dependencies that could not be found: apt goes on without the
// indices that it cannot fetch.
func (v *verdict) judgePackages(stage string, w words) {
	missing := unsatisfied(w.dose)
	switch {
	case w.mirror != "":
		v.result, v.code = debusine.TemporaryFailure, "mirror-failed"
		v.reason = because("a mirror could not be used", w.mirror)
	case len(missing) > 0:
		v.code = "dependencies-unsatisfied"
		v.reason = because("the build dependencies cannot be satisfied", listed(missing))
	case len(w.unmet) > 0:
		v.code = "dependencies-unsatisfied"
		v.reason = because("the build dependencies cannot be satisfied", listed(w.unmet))
	case strings.HasPrefix(stage, "apt-get-"):
		v.result, v.code = debusine.Error, "environment-failed"
		v.reason = because("the environment cannot be brought up to date", or(w.apt, w.sbuild))
	default:
		v.reason = because("the build dependencies cannot be installed", or(w.apt, w.sbuild))
	}
}

// because joins what happened with the words that explain it, if any.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// or is the first of the texts that is not empty.
func or(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// mostListed bounds how many dependencies a sentence names.
const mostListed = 10

func listed(all []string) string {
	if more := len(all) - mostListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:mostListed], "; "), more)
	}
	return strings.Join(all, "; ")
}
