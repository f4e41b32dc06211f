package server

import (
	"crypto/rand"
	"encoding/json"

	"debusine/api"
)

// problemJSON writes a problem. Debusine's own client knows title, detail and
// validation_errors and breaks on any other member; so the whole form goes to
// those who ask for JSON by its name (Accept: application/json, as package
// client does), and to others the hint comes within the detail.
func problemJSON(p api.Problem, whole bool) []byte {
	if !whole {
		if p.Hint != "" && p.Detail != "" {
			p.Detail += " (hint: " + p.Hint + ")"
		} else if p.Hint != "" {
			p.Detail = p.Hint
		}
		p.Hint, p.Status = "", 0
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return []byte(`{"title": "Internal error"}`)
	}
	return raw
}

// requestID names a failed request in log and answer.
func requestID() []byte {
	id := make([]byte, 6)
	rand.Read(id) // never fails since Go 1.24
	return id
}
