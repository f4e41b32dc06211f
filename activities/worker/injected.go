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

// settingUp is dpkg's line for a package that is configured.
var settingUp = regexp.MustCompile(`^Setting up ([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)? \((\S+)\) \.\.\.$`)

// check looks in the part of the log before the build what dpkg set up. That a
// package was not needed is well; that another version of it was installed is a
// notInjected.
func (in injected) check(path string) error {
	if len(in) == 0 {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var wrong []string
	l := listener{makeLine: -sameFailure}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() && !l.built { // a line too long for dpkg ends the scan in the build at the earliest
		l.hear(lines.Bytes())
		match := settingUp.FindStringSubmatch(lines.Text())
		if match == nil || l.built {
			continue
		}
		version, err := debian.ParseVersion(match[2])
		wanted, given := in[match[1]]
		if err != nil || !given || slices.ContainsFunc(wanted, func(v debian.Version) bool { return v.Compare(version) == 0 }) {
			continue
		}
		wrong = append(wrong, fmt.Sprintf("%s %s (given was %s)", match[1], version, wanted[0]))
	}
	if len(wrong) > 0 {
		return notInjected{"the build has not used the extra packages that it was given: installed was " + listed(wrong)}
	}
	return nil
}
