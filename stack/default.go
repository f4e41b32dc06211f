package stack

import (
	"fmt"
	"os"
)

// DefaultState is the state folder that `debusine standalone` takes by itself in
// this checkout. It is made when missing, and .state in the checkout leads to it;
// nothing is started.
func DefaultState() (string, error) {
	home, _ := checkout()
	state, link := defaultState(home, os.Geteuid() == 0)
	if err := os.MkdirAll(state, 0o755); err != nil {
		return "", fmt.Errorf("making the state folder: %w", err)
	}
	return state, linkState(link, state)
}
