package workeract

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"debusine/debian"
)

// injected are the versions of the extra packages that a build was given, by
// name. apt takes the highest version that it finds: where a mirror has a higher
// one the build did not see what it was to see, and only its log tells.
type injected map[string][]debian.Version

// notInjected says that another version of an extra package was installed.
type notInjected struct{ what string }

func (n notInjected) Error() string { return n.what }

func readInjected(paths []string) (injected, error) {
	all := injected{}
	for _, path := range paths {
		deb, err := debian.OpenDeb(path)
		if bad := (debian.Malformed{}); errors.As(err, &bad) || errors.As(err, new(debian.UnsupportedCompression)) {
			return nil, unusablef("the extra package %q cannot be read: %v", path[strings.LastIndex(path, "/")+1:], err)
		}
		if err != nil {
			return nil, err
		}
		all[deb.Package] = append(all[deb.Package], deb.Version)
	}
	return all, nil
}

// setUp is a package that dpkg configured: "libfoo", ":amd64" or "", "1.2-3".
type setUp struct{ name, arch, version string }

// settingUp is dpkg's line for one.
var settingUp = regexp.MustCompile(`^Setting up ([a-z0-9][a-z0-9+.-]*)(:[a-z0-9-]+)? \(([0-9][A-Za-z0-9.+:~-]*)\) \.\.\.$`)

// installedIn looks in the part of a log before the build what dpkg set up.
func installedIn(path string) (all []setUp, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	l := listener{makeLine: -sameFailure}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() && !l.built { // a line too long for dpkg ends the scan in the build at the earliest
		l.hear(lines.Bytes())
		if match := settingUp.FindStringSubmatch(lines.Text()); match != nil && !l.built {
			all = append(all, setUp{match[1], match[2], match[3]})
		}
	}
	return all, nil
}

// check looks what of the extra packages was set up. That a package was not
// needed is well; that another version of it was installed is a notInjected.
func (in injected) check(path string) error {
	if len(in) == 0 {
		return nil
	}
	installed, err := installedIn(path)
	if err != nil {
		return err
	}
	var wrong []string
	for _, p := range installed {
		version, err := debian.ParseVersion(p.version)
		wanted, given := in[p.name]
		if err != nil || !given || slices.ContainsFunc(wanted, func(v debian.Version) bool { return v.Compare(version) == 0 }) {
			continue
		}
		wrong = append(wrong, fmt.Sprintf("%s %s (given was %s)", p.name, version, wanted[0]))
	}
	if len(wrong) > 0 {
		return notInjected{"the build has not used the extra packages that it was given: installed was " + listed(wrong)}
	}
	return nil
}
