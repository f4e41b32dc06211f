package executor

import (
	"context"
	"path/filepath"
)

// IncusServer is the command line of autopkgtest's server for a container or a
// virtual machine of incus that starts from an image of that name.
func IncusServer(b Backend, image string) []string {
	argv := []string{"autopkgtest-virt-incus"}
	if b.Image {
		argv = append(argv, "--vm")
	}
	return append(argv, image)
}

// WithIncusImage is a command line that gives incus an image by a name, runs
// another command, and takes the image away again. metadata is incus's
// description of it, a file metadata.yaml.
func (f *Folder) WithIncusImage(metadata, environment, name string, argv ...string) []string {
	return append([]string{"sh", "-c", incusScript, "sh", metadata, environment, name, filepath.Join(f.Work, "metadata.tar")}, argv...)
}

const incusScript = `
metadata=$1; environment=$2; name=$3; packed=$4; shift 4
tar --create --file "$packed" --directory "$(dirname "$metadata")" metadata.yaml || exit
incus image import "$packed" "$environment" --alias "$name" || exit
trap 'incus image delete "$name"' EXIT
trap 'kill -TERM $child' TERM
"$@" &
child=$!
while :; do
	wait $child; code=$?
	kill -0 $child 2>/dev/null || exit $code
done
`

// tryIncus asks the service, as a job would.
func tryIncus(ctx context.Context, m *Machine) error {
	_, err := m.trial(ctx, func(f *Folder) (Command, error) {
		return Command{Argv: []string{"incus", "info"}, Groups: []string{"incus-admin"}}, nil
	})
	return err
}
