package server

import (
	"strings"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/store"
)

func channelCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "from", Usage: "mails come from `ADDRESS`"},
		&cli.StringSliceFlag{Name: "to", Usage: "they go to `ADDRESS`; may be given several times"},
		&cli.StringSliceFlag{Name: "cc", Usage: "and to `ADDRESS`; may be given several times"},
		&cli.StringFlag{Name: "subject", Usage: "of the mails: `TEXT`, with $work_request_id and $work_request_result"},
		&cli.StringFlag{Name: "scope", Usage: "only work of the scope `SCOPE` may use it; all for any"},
		&cli.StringFlag{Name: "workspace", Usage: "only work of the workspace `SCOPE/NAME` may use it"},
		&cli.BoolFlag{Name: "fixed", Usage: "whoever uses it may say the subject, but not who sends and gets the mail"},
	}
	return &cli.Command{Name: "notification-channel", Usage: "ways out for notifications about work requests; docs/reactions.md is the guide", Subcommands: []*cli.Command{
		verb("create", "NAME", "make a channel for mail", 1, func(c *cli.Context, db *store.DB) error {
			channel := debusine.NotificationChannel{Name: c.Args().First(), Method: "email"}
			if err := channelFlags(c, &channel); err != nil {
				return err
			}
			return done(c, db.CreateNotificationChannel(c.Context, channel), "made the notification channel %s", channel.Name)
		}, flags...),
		verb("list", "", "list channels, and how many mails wait or could not be delivered", 0, listChannels),
		verb("edit", "NAME", "change a channel; what is not given stays", 1, func(c *cli.Context, db *store.DB) error {
			err := db.EditNotificationChannel(c.Context, c.Args().First(), func(channel *debusine.NotificationChannel) error {
				if name := c.String("name"); name != "" {
					channel.Name = name
				}
				return channelFlags(c, channel)
			})
			return done(c, err, "changed the notification channel %s", c.Args().First())
		}, append(flags, &cli.StringFlag{Name: "name", Usage: "call it `NAME`"})...),
		verb("delete", "NAME", "remove a channel", 1, func(c *cli.Context, db *store.DB) error {
			return done(c, db.DeleteNotificationChannel(c.Context, c.Args().First()), "removed the notification channel %s", c.Args().First())
		}),
	}}
}

// channelFlags puts what was given over what the channel has.
func channelFlags(c *cli.Context, channel *debusine.NotificationChannel) error {
	over := debusine.Message{From: c.String("from"), Subject: c.String("subject")}
	if c.IsSet("to") {
		over.To = notNil(c.StringSlice("to"))
	}
	if c.IsSet("cc") {
		over.CC = notNil(c.StringSlice("cc"))
	}
	channel.Message = over.Over(channel.Message)
	if c.IsSet("fixed") {
		channel.Fixed = c.Bool("fixed")
	}
	switch {
	case c.IsSet("workspace"):
		var err error
		channel.Scope, channel.Workspace, err = placeFlag(c)
		return err
	case c.String("scope") == "all":
		channel.Scope, channel.Workspace = "", ""
	case c.IsSet("scope"):
		channel.Scope, channel.Workspace = c.String("scope"), ""
	}
	return nil
}

func listChannels(c *cli.Context, db *store.DB) error {
	channels, err := db.NotificationChannels(c.Context)
	if err != nil {
		return err
	}
	return table(c, "NAME METHOD FOR FROM TO CC FIXED WAITING FAILED SUBJECT", func(add func(...any)) {
		for _, n := range channels {
			place := "all"
			if n.Scope != "" {
				place = strings.TrimSuffix(n.Scope+"/"+n.Workspace, "/")
			}
			add(n.Name, n.Method, place, n.From, strings.Join(n.To, ","), strings.Join(n.CC, ","), n.Fixed, n.Waiting, n.Failed, n.Subject)
		}
	})
}
