package worker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine/executor"
)

// offer is what a worker says of one backend: whether it has it, and why not, or
// what there is to know about it.
type offer struct {
	name   string
	has    bool
	reason string
}

// wantedBackends reads --backends. Nothing said: all that work, but those that
// have to be asked for.
func wantedBackends(list string) (wanted []executor.Backend, err error) {
	if list == "" {
		for _, b := range executor.Backends() {
			if !b.Asked {
				wanted = append(wanted, b)
			}
		}
		return wanted, nil
	}
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		b, err := executor.BackendNamed(name)
		if err != nil {
			return nil, cli.Exit("--backends: "+err.Error(), 2)
		}
		wanted = append(wanted, b)
	}
	if len(wanted) == 0 {
		return nil, cli.Exit("--backends names none\nhint: "+strings.Join(executor.BackendNames(), ", "), 2)
	}
	return wanted, nil
}

// findBackends tries those that are wanted. One that does not work is no error:
// the worker does without, and says why; named says that its administrator has
// asked for it.
func findBackends(ctx context.Context, box *executor.Machine, wanted []executor.Backend, named bool, log *slog.Logger) (offers []offer) {
	for _, b := range executor.Backends() {
		o := offer{name: b.Name, reason: "not among --backends"}
		if slices.ContainsFunc(wanted, func(w executor.Backend) bool { return w.Name == b.Name }) {
			err := box.Offers(ctx, b)
			o.has, o.reason = err == nil, ""
			if err != nil {
				o.reason = err.Error()
			}
			if err == nil && b.Name == "qemu" {
				if slow := box.KVM(); slow != nil {
					o.reason = fmt.Sprintf("the processor is emulated, which is slow: %v", slow)
				}
			}
			o.log(log, named)
		}
		offers = append(offers, o)
	}
	if !slices.ContainsFunc(offers, func(o offer) bool { return o.has }) {
		log.Warn("offers no backend at all, so it will be given no builds")
	}
	return offers
}

func (o offer) log(log *slog.Logger, named bool) {
	switch {
	case o.has && o.reason == "":
		log.Info("offers a backend", "backend", o.name)
	case o.has:
		log.Warn("offers a backend", "backend", o.name, "but", o.reason)
	case named:
		log.Warn("does not offer a backend that --backends names", "backend", o.name, "reason", o.reason)
	default:
		log.Info("does not offer a backend", "backend", o.name, "reason", o.reason)
	}
}

// tagsOf are the tags of the backends that are there, and the fact that tells
// people of all.
func tagsOf(offers []offer) (tags []string, facts map[string]string) {
	facts = map[string]string{}
	for _, o := range offers {
		switch {
		case o.has:
			tags = append(tags, "worker:executor:"+o.name)
			facts[o.name] = "yes"
			if o.reason != "" {
				facts[o.name] = "yes, but " + o.reason
			}
		default:
			facts[o.name] = "no: " + o.reason
		}
	}
	return tags, facts
}
