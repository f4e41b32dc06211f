package cli

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"debusine/client"
)

func artifactCreateCommand() *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "make an artifact of files", ArgsUsage: "CATEGORY",
		Description: "Example: debusine artifact create debusine:test --upload notes.txt --upload logs/",
		Flags: append(dataFlags("artifact's data"), workspaceFlag(),
			&cli.StringSliceFlag{Name: "upload", Usage: "put `FILE` into it; a folder with all files in it"},
			&cli.StringFlag{Name: "upload-base-directory", Usage: "names in the artifact are relative to `DIR`", DefaultText: "the current one"},
			&cli.TimestampFlag{Name: "expire-at", Layout: time.RFC3339, Usage: "keep it until `TIME`, as in 2027-01-31T12:00:00Z"}),
		Action: talk(artifactCreate),
	}
}

func artifactCreate(s *session) error {
	if err := s.want("CATEGORY"); err != nil {
		return err
	}
	data, err := s.data()
	if err != nil {
		return err
	}
	files, err := gather(s.String("upload-base-directory"), s.StringSlice("upload"))
	if err != nil {
		return err
	}
	n := client.NewArtifact{Category: s.Args().First(), Data: data, Workspace: s.workspace(), Files: files, ExpireAt: s.Timestamp("expire-at")}
	progress, end := s.transfer("uploading")
	made, err := s.api.CreateArtifact(s.ctx(), n, progress)
	end()
	if err != nil {
		return err
	}
	if made, err = s.api.Artifact(s.ctx(), made.ID); err != nil {
		return err
	}
	return s.printArtifact(made)
}

// gather finds the files to upload: path in the artifact to path on disk.
func gather(base string, names []string) (map[string]string, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, name := range names {
		start := name
		if !filepath.IsAbs(start) {
			start = filepath.Join(base, start)
		}
		err := filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			inside, err := filepath.Rel(base, path)
			if err != nil {
				return err
			}
			if inside == ".." || strings.HasPrefix(inside, "../") {
				inside = filepath.Base(path)
			}
			if other, taken := files[inside]; taken && other != path {
				return fmt.Errorf("%s and %s would have the same name in the artifact", other, path)
			}
			files[inside] = path
			return nil
		})
		if err != nil {
			return nil, usage{what: err.Error()}
		}
	}
	return files, nil
}
