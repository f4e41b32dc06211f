package cli

import "github.com/urfave/cli/v2"

func whoamiCommand() *cli.Command {
	return &cli.Command{
		Name: "whoami", Usage: "say to whom the token belongs",
		Description: "Example: debusine whoami",
		Action:      talk(whoami),
	}
}

func whoami(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	w, err := s.api.Whoami(s.ctx())
	if err != nil {
		return err
	}
	return s.out.print(w, func() error {
		return s.out.pairs([2]string{"User", w.User}, [2]string{"Worker", w.Worker}, [2]string{"Token", w.TokenType},
			[2]string{"Scope", w.Scope}, [2]string{"Server", s.config.name + " (" + s.config.apiURL + ")"})
	})
}
