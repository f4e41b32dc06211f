package server

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"debusine"
	"debusine/api"
)

const (
	usualPage   = 50
	largestPage = 200
)

// paging is what a list's query asks for: how many, and after which.
type paging struct {
	before int64 // ids below this; 0: from the newest
	size   int
}

// paging reads cursor and page_size.
func (c *call) paging() (p paging, err error) {
	p.size = usualPage
	if text := c.QueryParam("page_size"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > largestPage {
			return p, debusine.Invalid{What: fmt.Sprintf("page_size must lie between 1 and %d", largestPage), Per: map[string]string{"page_size": "out of range"}}
		}
		p.size = n
	}
	cursor := c.QueryParam("cursor")
	if cursor == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		p.before, err = strconv.ParseInt(string(raw), 10, 64)
	}
	if err != nil || p.before <= 0 {
		return p, debusine.WithHint(debusine.Invalidf("the cursor is not one of this list"), "take the address from next")
	}
	return p, nil
}

// page makes one page of what was asked for with one more than its size: that
// one says that there is more.
func page[N, T any](c *call, s *Server, p paging, nouns []N, id func(N) int64, show func(N) T) api.Page[T] {
	out := api.Page[T]{Results: []T{}}
	more := len(nouns) > p.size
	if more {
		nouns = nouns[:p.size]
	}
	for _, n := range nouns {
		out.Results = append(out.Results, show(n))
	}
	if more {
		query := c.Request().URL.Query()
		query.Set("cursor", base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, id(nouns[len(nouns)-1]), 10)))
		next := s.base(c) + c.Request().URL.Path + "/?" + query.Encode()
		out.Next = &next
	}
	return out
}

// base is this server's address, without a slash at the end.
func (s *Server) base(c *call) string {
	if s.options.PublicURL != "" {
		return strings.TrimRight(s.options.PublicURL, "/")
	}
	return c.Scheme() + "://" + c.Request().Host
}

// link is an address below /api/1.0.
func (s *Server) link(c *call, format string, args ...any) string {
	return s.base(c) + "/api/1.0/" + fmt.Sprintf(format, args...)
}

// place is the path of a thing on this server: Debusine's clients put the
// server's address before it.
func place(format string, args ...any) string { return base10 + fmt.Sprintf(format, args...) }

// webSelf is the link to a thing's own page.
func webSelf(format string, args ...any) api.Links {
	return api.Links{"webui_self": place(format, args...)}
}

// escape makes a path of an artifact part of an address.
func escape(path string) string {
	return (&url.URL{Path: path}).EscapedPath()
}
