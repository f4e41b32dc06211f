package debusine

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Lookup is a single lookup as it is written in task data: a number, or a
// string such as "debian/match:codename=bookworm". Package lookup gives it a
// meaning. The zero value is the absent lookup.
type Lookup struct{ text string }

// LookupOf makes a lookup of a string, as if it stood in task data.
func LookupOf(text string) Lookup { return Lookup{text} }

// LookupID makes the lookup of an artifact's number.
func LookupID(artifact int64) Lookup { return Lookup{strconv.FormatInt(artifact, 10) + "@artifacts"} }

// String is the lookup's text; a number is itself in decimals.
func (l Lookup) String() string { return l.text }

// IsZero says that no lookup was given.
func (l Lookup) IsZero() bool { return l.text == "" }

// UnmarshalJSON reads a string or a positive whole number.
func (l *Lookup) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" {
		*l = Lookup{}
		return nil
	}
	var (
		n int64
		s string
	)
	err := json.Unmarshal(raw, &n)
	if err != nil {
		if err := json.Unmarshal(raw, &s); err != nil || strings.TrimSpace(s) == "" {
			return Invalidf("a lookup must be a number or a non-empty string, not %.80s", raw)
		}
		n, err = strconv.ParseInt(s, 10, 64)
	}
	if err != nil {
		*l = Lookup{s}
		return nil
	}
	if n <= 0 {
		return Invalidf("lookup %d is not the number of anything", n)
	}
	*l = Lookup{strconv.FormatInt(n, 10)}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (l Lookup) MarshalJSON() ([]byte, error) {
	if l.text == "" {
		return []byte("null"), nil
	}
	if n, err := strconv.ParseInt(l.text, 10, 64); err == nil && n > 0 {
		return json.Marshal(n)
	}
	return json.Marshal(l.text)
}
