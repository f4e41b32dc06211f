package workeract

import (
	"os"
	"path/filepath"

	"debusine/debian"
)

// checkSource compares the source package's .dsc with what was fetched, and
// with what the artifact is said to be. The reason is a sentence about the
// package; an error is the machine's.
//
// dpkg-source would find most of it too, after minutes of preparation. A file
// name that leads out of the folder must not come as far as sbuild, which
// copies what the .dsc names.
func (s *sbuild) checkSource() (reason string, err error) {
	file, err := os.Open(s.dsc)
	if err != nil {
		return "", err
	}
	defer file.Close()
	name := filepath.Base(s.dsc)
	dsc, err := debian.ParseDSC(file)
	if err != nil {
		return name + " cannot be read: " + clip([]byte(err.Error())), nil
	}
	if dsc.Source != s.name || dsc.Version.String() != s.version {
		return name + " is of " + dsc.Source + " " + dsc.Version.String() + ", but the artifact is of " + clip([]byte(s.name)) + " " + clip([]byte(s.version)), nil
	}
	for _, listed := range dsc.Files {
		have, found := s.source.Files[listed.Name]
		switch {
		case !found:
			return name + " lists " + listed.Name + ", which the source package does not have", nil
		case have.Size != listed.Size:
			return name + " gives another size of " + listed.Name + " than it has", nil
		case have.Checksums["sha256"] != listed.SHA256:
			return name + " gives another SHA-256 of " + listed.Name + " than it has", nil
		}
	}
	return "", nil
}
