package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine/api"
)

func artifactCommand() *cli.Command {
	return &cli.Command{Name: "artifact", Usage: "work with artifacts: sources, packages, logs, environments", Subcommands: []*cli.Command{
		artifactCreateCommand(), importDebianCommand(), artifactListCommand(), artifactShowCommand(), showRelationsCommand(), artifactDownloadCommand(),
	}}
}

// sizeOf is the size of all files in bytes.
func sizeOf(a api.Artifact) int64 {
	var size int64
	for _, f := range a.Files {
		size += f.Size
	}
	return size
}

func fileNames(a api.Artifact) []string { return slices.Sorted(maps.Keys(a.Files)) }

func (s *session) printArtifact(a api.Artifact) error {
	return s.out.print(a, func() error {
		state := "complete"
		if !a.Complete {
			state = "to be uploaded: " + strings.Join(a.FilesToUpload, " ")
		}
		err := s.out.pairs([2]string{"Artifact", number(a.ID)}, [2]string{"Category", a.Category}, [2]string{"Workspace", a.Workspace},
			[2]string{"Created", moment(&a.CreatedAt)}, [2]string{"By", a.CreatedBy}, [2]string{"Work request", optional(a.CreatedByWorkRequest)},
			[2]string{"Expires", moment(a.ExpireAt)}, [2]string{"State", state}, [2]string{"Data", indented(a.Data)})
		if err != nil {
			return err
		}
		var rows [][]string
		for _, name := range fileNames(a) {
			rows = append(rows, []string{bytesOf(a.Files[name].Size), a.Files[name].Checksums["sha256"], name})
		}
		if len(rows) == 0 {
			return nil
		}
		return s.out.table([]string{"SIZE", "SHA-256", "FILE"}, rows)
	})
}
