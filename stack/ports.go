package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// ports are the loopback ports of a stack, one block from a base.
type ports struct {
	Base int `json:"base"`
}

// The block, in order of the distance from its base.
const (
	portAPI = iota
	portGateway
	portUI
	portFrontend
	portFrontendRing
	portHistory
	portHistoryRing
	portMatching
	portMatchingRing
	portWorker
	portWorkerRing
	portMetrics
	portCount
)

// DefaultPortBase is the first port of `debusine standalone`.
const DefaultPortBase = 7800

func (p ports) at(distance int) int { return p.Base + distance }

func (p ports) address(distance int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.at(distance)))
}

// free says which port of the block is taken, naming it and the flag.
func (p ports) free() error {
	if p.Base < 1 || p.Base+portCount > 65536 {
		return fmt.Errorf("the ports %d to %d do not exist; hint: --port-base takes a number from 1024 to %d", p.Base, p.Base+portCount-1, 65536-portCount)
	}
	for distance := range portCount {
		listener, err := net.Listen("tcp", p.address(distance))
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return fmt.Errorf("port %d of 127.0.0.1 may not be used by this user; hint: choose another block of %d ports with --port-base", p.at(distance), portCount)
			}
			return fmt.Errorf("port %d of 127.0.0.1 is in use by another program; hint: choose another block of %d ports with --port-base", p.at(distance), portCount)
		}
		listener.Close()
	}
	return nil
}

// anyPorts finds a free block below the kernel's ephemeral ports (from 32768), so
// that no outgoing connection takes one of it while a part restarts.
func anyPorts() (ports, error) {
	for range 200 {
		p := ports{Base: 20000 + rand.IntN(12000)}
		if p.free() == nil {
			return p, nil
		}
	}
	return ports{}, errors.New("no free block of ports between 20000 and 32000; hint: name one with --port-base")
}

func (f folder) savePorts(p ports) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("writing the ports: %w", err)
	}
	return writeFile(f.path("run", "stack.json"), append(data, '\n'), 0o644)
}

func (f folder) loadPorts() (ports, error) {
	var p ports
	data, err := os.ReadFile(f.path("run", "stack.json"))
	if err != nil {
		return p, fmt.Errorf("no stack runs in %s: %w", f, err)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("reading the ports of %s: %w", f, err)
	}
	return p, nil
}
