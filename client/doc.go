// Package client speaks the HTTP API, for the command line and for build
// machines. It knows the API's structs and the nouns, and nothing of what
// either of its users does with them.
//
// What can go wrong is told apart once, here: what the server refuses comes
// back as one of the faults of package debusine, with the server's hint; a
// server that cannot be reached is Unreachable; any other answer is Answered.
//
// Calls that may be made twice without harm are made again for as long as
// Options.Patience says, when the connection breaks or something on the way is
// out of order. Those that make something new are made again only when the
// request surely was not sent.
//
// Files are streamed from disk and to disk. An upload that was cut goes on from
// what the server has, a download from what is on disk, and a download ends
// well only with the right SHA-256.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"debusine"
)

// Options are what a Client needs. BaseURL alone is required.
type Options struct {
	BaseURL   string // as in Debusine's configuration: "https://debusine.example.org/api"
	Token     string // the secret; empty for an anonymous visitor
	Scope     string // empty for the server's default
	UserAgent string
	HTTP      *http.Client // nil for one with reasonable limits
	// Authority, if set, is whom the server's certificate must come from, instead
	// of those that this machine trusts.
	Authority *x509.CertPool
	// Patience is for how long a call that may be repeated is repeated after
	// its first failure. Zero: not at all.
	Patience time.Duration
	// Waiting, if set, is told before each pause, with what went wrong and how
	// long the pause is.
	Waiting func(err error, pause time.Duration)
}

// Client speaks to one server with one token. It is safe for concurrent use.
type Client struct {
	o       Options
	http    *http.Client
	base    *url.URL // with "/1.0/" at its end
	invalid error    // of BaseURL; every call answers it
}

// New makes a Client; nothing is sent. A BaseURL that is none is reported by
// the first call.
func New(o Options) *Client {
	if o.UserAgent == "" {
		o.UserAgent = "debusine-client"
	}
	c := &Client{o: o, http: o.HTTP}
	base, err := url.Parse(strings.TrimSuffix(strings.TrimRight(o.BaseURL, "/"), "/1.0") + "/1.0/")
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		c.invalid = debusine.Invalid{
			What: "the server's address " + quoted(o.BaseURL) + " is not an http or https URL",
			Hint: "it looks like https://debusine.example.org/api",
		}
		base = &url.URL{}
	}
	c.base = base
	if c.http == nil {
		c.http = &http.Client{Transport: newTransport(o.Authority)}
	}
	own := *c.http
	own.CheckRedirect = c.redirect
	c.http = &own
	return c
}

// WithToken is the same server with another token.
func (c *Client) WithToken(token string) *Client {
	other := *c
	other.o.Token = token
	return &other
}

// WithPatience is the same client with another patience, and another ear for
// pauses.
func (c *Client) WithPatience(patience time.Duration, waiting func(err error, pause time.Duration)) *Client {
	other := *c
	other.o.Patience, other.o.Waiting = patience, waiting
	return &other
}

// newTransport bounds everything but the transfer of a body, which is watched
// by its progress.
func newTransport(authority *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authority},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   2 * atOnce,
		ForceAttemptHTTP2:     true,
	}
}

// redirect follows to other hosts (an object store gives files), but never
// with the token: net/http would forward a header that it does not know.
func (c *Client) redirect(r *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return http.ErrUseLastResponse
	}
	if r.URL.Host != c.base.Host || r.URL.Scheme != c.base.Scheme {
		r.Header.Del("Token")
		r.Header.Del("X-Debusine-Scope")
	}
	return nil
}

// address is the URL of an API path, whose segments are escaped already.
func (c *Client) address(path string, query url.Values) string {
	address := c.base.String() + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return address
}

// request makes a request with our headers.
func (c *Client) request(ctx context.Context, method, address string) (*http.Request, error) {
	if c.invalid != nil {
		return nil, c.invalid
	}
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	if c.o.Token != "" {
		r.Header.Set("Token", c.o.Token)
	}
	if c.o.Scope != "" {
		r.Header.Set("X-Debusine-Scope", c.o.Scope)
	}
	r.Header.Set("User-Agent", c.o.UserAgent)
	return r, nil
}
