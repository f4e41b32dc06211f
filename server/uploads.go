package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"debusine"
	actserver "debusine/activities/server"
	"debusine/dput"
)

// uploadFlags say where this server may bring uploads, and as whom.
func uploadFlags() []cli.Flag {
	return []cli.Flag{
		text("upload-targets", "let workflows upload to `[SCOPE/WORKSPACE=]URL,…` (ftp://… and sftp://…) and folders within; default: nowhere", "", false),
		text("upload-ssh-key", "upload by sftp with the private key in `FILE`, which has no passphrase", "", false),
		text("upload-ssh-agent", "upload by sftp with the keys of the SSH agent at `SOCKET`", "", false),
		text("upload-known-hosts", "trust for sftp the host keys in `FILE,…` (known_hosts of OpenSSH)", "", false),
		text("upload-netrc", "passwords for ftp are in `FILE`: netrc(5)", "", false),
		text("upload-ftp-ca", "trust the authority in `FILE` (PEM) for ftp with TLS, and nobody else", "", false),
		text("upload-delays", "after a network fault, try again after `TIME,…` (5s,1m,1h); default: for some hours", "", false),
		text("upload-keyring", "upload only what is signed by a certificate in `FILE,…`; default: any signature will do", "", false),
	}
}

// uploads is what does packageupload. Secrets are read when they are used: they
// can be changed without a restart.
func (p *process) uploads() (*actserver.Uploads, error) {
	targets, err := actserver.ParseTargets(p.cli.String("upload-targets"))
	if err != nil {
		return nil, err
	}
	delays, err := uploadDelays(p.cli.String("upload-delays"))
	if err != nil {
		return nil, err
	}
	u := &actserver.Uploads{Records: p.db, Files: p.disk, Targets: targets, Log: p.log, Sender: dput.Sender{
		KnownHosts: listed(p.cli.String("upload-known-hosts")), KeyFile: p.cli.String("upload-ssh-key"), Agent: p.cli.String("upload-ssh-agent"),
		Netrc: p.cli.String("upload-netrc"), Authority: p.cli.String("upload-ftp-ca"), Delays: delays, Log: p.log}}
	if rings := listed(p.cli.String("upload-keyring")); len(rings) > 0 {
		u.Keyring, err = dput.ReadKeyring(rings...)
	}
	return u, err
}

// uploadDelays are the waits between attempts.
func uploadDelays(text string) (delays []time.Duration, err error) {
	for _, word := range listed(text) {
		d, err := time.ParseDuration(word)
		if err != nil {
			return nil, debusine.Invalid{What: fmt.Sprintf("--upload-delays: %q is no length of time", word), Hint: "for example 5s,1m,1h"}
		}
		delays = append(delays, d)
	}
	if delays == nil {
		delays = dput.Delays()
	}
	return delays, nil
}

func listed(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}
