package server

import (
	"net"
	"net/url"
	"regexp"

	"debusine/server/post"
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$`)

// knownAs is the server's name for others: the one said, that of the public URL, or
// the machine's. An IP address is no name.
func knownAs(said, public string) string {
	if said != "" {
		return said
	}
	if u, err := url.Parse(public); err == nil && u.Hostname() != "" && net.ParseIP(u.Hostname()) == nil {
		return u.Hostname()
	}
	return post.HelloName()
}
