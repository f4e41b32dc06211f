package debian

import (
	"bytes"
	"io"
	"strings"
)

// The lines of a clear-signed text: RFC 4880, section 7.
const (
	beginSigned    = "-----BEGIN PGP SIGNED MESSAGE-----"
	beginSignature = "-----BEGIN PGP SIGNATURE-----"
	endSignature   = "-----END PGP SIGNATURE-----"
)

// ReadClearsigned reads at most limit bytes and returns the text that an
// inline OpenPGP signature covers, or everything where there is none. It
// checks no signature. It is strict on purpose: text before or after the
// signed part, or an armour line that verifiers might read differently, is
// refused, so that what is read here is what a verifier saw.
func ReadClearsigned(r io.Reader, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(data) > limit {
		return nil, malformedf("the file is larger than %d bytes", limit)
	}
	if !bytes.Contains(data, []byte("-----BEGIN PGP")) {
		return data, nil
	}
	return cleartext(string(data))
}

// cleartext walks the lines: the opening line, armour headers, an empty line,
// the text, the signature, nothing.
func cleartext(data string) ([]byte, error) {
	l := signedLines{rest: data}
	if line, ok := l.next(); !ok || line != beginSigned {
		return nil, malformedf("there is text before the signed part")
	}
	for {
		line, ok := l.next()
		if ok && line == "" {
			break
		}
		if !ok || !strings.HasPrefix(line, "Hash: ") {
			return nil, malformedf("the signed part begins with something other than Hash headers and an empty line")
		}
	}
	text, err := l.dashUnescape()
	if err != nil {
		return nil, err
	}
	for {
		line, ok := l.next()
		if !ok {
			return nil, malformedf("the signature has no end")
		}
		if line == endSignature {
			break
		}
		if strings.HasPrefix(line, "-") {
			return nil, malformedf("the signature holds a line that begins with a hyphen")
		}
	}
	if strings.TrimSpace(l.rest) != "" {
		return nil, malformedf("there is text after the signed part")
	}
	return text, nil
}

type signedLines struct{ rest string }

// next is the next line without its end, \n or \r\n.
func (l *signedLines) next() (line string, ok bool) {
	if l.rest == "" {
		return "", false
	}
	line, l.rest, _ = strings.Cut(l.rest, "\n")
	return strings.TrimSuffix(line, "\r"), true
}

// dashUnescape takes the lines up to the signature and removes the "- " that
// guards each line that begins with a hyphen: RFC 4880, section 7.1.
func (l *signedLines) dashUnescape() ([]byte, error) {
	var text []byte
	for {
		line, ok := l.next()
		switch {
		case !ok:
			return nil, malformedf("the signed text has no signature")
		case line == beginSignature:
			return text, nil
		case strings.HasPrefix(line, "- "):
			line = line[2:]
		case strings.HasPrefix(line, "-"):
			return nil, malformedf("the signed text holds a line with a hyphen that is not escaped")
		}
		text = append(append(text, line...), '\n')
	}
}
