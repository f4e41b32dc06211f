package executor

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// Bare runs a command as its folder's user, with nothing that contains it.
func Bare(ctx context.Context, c Command) (Result, error) {
	out, err := os.Create(c.Output)
	if err != nil {
		return Result{}, err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Folder.Work, out, out
	cmd.Env = []string{"PATH=" + searchPath, "HOME=" + c.Folder.Work}
	for name, value := range c.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true,
		Credential: &syscall.Credential{Uid: uint32(c.Folder.builder.uid), Gid: uint32(c.Folder.builder.gid)}}
	return Result{}, cmd.Run()
}
