package workeract

import (
	"context"
	"strings"

	"debusine/api"
)

// image is an environment that is the image of a disk.
type image struct {
	path   string
	packed bool   // it is the file rawName in a tar file
	boot   string // efi or bios
}

// What a raw image, mostly holes, is called in the tar file that it travels in.
const (
	rawName      = "root.img"
	packedSuffix = ".tar.xz"
)

// image is environment, for images.
func (c *cache) image(ctx context.Context, server Server, artifact api.Artifact) (path string, release func(), err error) {
	name, file, err := onlyImage(artifact)
	if err != nil {
		return "", nil, err
	}
	return c.only(ctx, server, artifact.ID, name, imageSuffix(name), file)
}

// onlyImage finds the one file of an environment.
func onlyImage(artifact api.Artifact) (string, api.File, error) {
	for name, file := range artifact.Files {
		if len(artifact.Files) == 1 && imageSuffix(name) != "" {
			return name, file, nil
		}
	}
	return "", api.File{}, unusablef("environment %d is not one image of a disk (qcow2, or raw in a tar.xz)", artifact.ID)
}

func imageSuffix(name string) string {
	for _, suffix := range []string{".qcow2", ".img", packedSuffix} {
		if strings.HasSuffix(name, suffix) {
			return suffix
		}
	}
	return ""
}
