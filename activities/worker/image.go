package workeract

import (
	"context"
	"encoding/binary"
	"io"
	"os"
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

// The head of a qcow2 image, in bytes: magic, version, the offset of the name of
// the file that it is based on, and features that a reader must know.
const (
	qcow2Magic    = "QFI\xfb"
	qcow2Head     = 80
	qcow2DataFile = 1 << 2 // its data lie in another file
)

// standsAlone refuses an image that has QEMU open another file of this machine,
// and a file that QEMU could take for an image of another make.
func standsAlone(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	head := make([]byte, qcow2Head)
	if _, err := io.ReadFull(file, head); err != nil {
		return unusablef("the image of a disk has no head: %v", err)
	}
	if string(head[:4]) != qcow2Magic {
		return unusablef("the image of a disk is not qcow2; hint: qemu-img convert -O qcow2, or raw in a tar.xz")
	}
	version := binary.BigEndian.Uint32(head[4:])
	switch {
	case version != 2 && version != 3:
		return unusablef("the image of a disk is qcow2 of version %d; hint: 2 and 3 are known", version)
	case binary.BigEndian.Uint64(head[8:]) != 0:
		return unusablef("the image of a disk is based on another file; hint: qemu-img convert makes one that stands alone")
	case version == 3 && binary.BigEndian.Uint64(head[72:])&qcow2DataFile != 0:
		return unusablef("the image of a disk has its data in another file; hint: qemu-img convert makes one that stands alone")
	}
	return nil
}
