package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func signerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "with", Value: "gpg", Usage: "sign with `PROGRAM`: gpg or sq"},
		&cli.StringFlag{Name: "key", Aliases: []string{"k"}, Usage: "with `KEY`: of gpg a fingerprint or user id (default: its own default), of sq a fingerprint or, before sq 1.0, a file", EnvVars: []string{"DEBSIGN_KEYID"}},
		&cli.StringSliceFlag{Name: "extra-args", Usage: "give the program `ARG` too; several times"},
	}
}

// signer is the user's own program, which alone reaches the key.
type signer struct {
	program string
	args    []string
}

func newSigner(s *session) (signer, error) {
	by := signer{program: s.String("with")}
	key, extra := s.String("key"), s.StringSlice("extra-args")
	switch by.program {
	case "gpg":
		by.args = []string{"--clearsign", "--digest-algo", "SHA512", "--output", "-"}
		if key != "" {
			by.args = append(by.args, "--local-user", key)
		}
	case "sq":
		if key == "" {
			return by, usage{what: "sq wants to know the key", hint: "--key FINGERPRINT"}
		}
	default:
		return by, usage{what: fmt.Sprintf("--with is gpg or sq, not %q", by.program)}
	}
	if _, err := exec.LookPath(by.program); err != nil {
		return by, usage{what: by.program + " is not installed", hint: "apt install gnupg, or sq"}
	}
	if by.program == "sq" {
		by.args = sqArgs(s.ctx(), key)
	}
	by.args = slices.Concat(by.args, extra)
	return by, nil
}

// sqArgs are those of sq 1.0 and later, or those of before: it changed its words.
func sqArgs(ctx context.Context, key string) []string {
	said, _ := exec.CommandContext(ctx, "sq", "sign", "--help").CombinedOutput()
	if bytes.Contains(said, []byte("--cleartext-signature")) {
		return []string{"sign", "--cleartext-signature", "--signer-key", key}
	}
	if strings.ContainsRune(key, filepath.Separator) {
		return []string{"sign", "--cleartext", "--signer-file", key}
	}
	return []string{"sign", "--cleartext", "--signer", key}
}

// sign gives the text with a signature around it. The program speaks to the user on
// the terminal: about passphrases, and tokens to touch.
func (by signer) sign(ctx context.Context, dir string, text []byte) ([]byte, error) {
	file, err := os.CreateTemp(dir, "text-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(text); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, by.program, slices.Concat(by.args, []string{file.Name()})...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", by.program, err)
	}
	if !bytes.HasPrefix(out.Bytes(), []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return nil, fmt.Errorf("%s gave no clear-signed text", by.program)
	}
	return out.Bytes(), nil
}
