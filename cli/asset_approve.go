package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func assetApproveCommand() *cli.Command {
	return &cli.Command{
		Name: "approve", Usage: "agree, as the second person, that a work request signs with a key", ArgsUsage: "FINGERPRINT WORK-REQUEST",
		Description: "For those who may sign with the key, and did not ask for the signature themselves. Look first at what will be\n" +
			"signed: debusine work-request show, debusine artifact show.\n\n" +
			"Example: debusine asset approve 0123456789ABCDEF0123456789ABCDEF01234567 42",
		Action: talk(assetApprove),
	}
}

func assetApprove(s *session) error {
	if err := s.want("FINGERPRINT", "WORK-REQUEST"); err != nil {
		return err
	}
	id, err := parseID("a work request", s.Args().Get(1))
	if err != nil {
		return err
	}
	key := s.Args().First()
	if err := s.api.ApproveSignature(s.ctx(), key, id); err != nil {
		return err
	}
	w, err := s.api.WorkRequest(s.ctx(), id)
	if err != nil {
		return err
	}
	return s.out.print(w, func() error {
		_, err := fmt.Fprintf(s.out.to, "approved: work request %d (%s, asked for by %s) may sign with key %s\n", id, title(w), w.CreatedBy, key)
		return err
	})
}
