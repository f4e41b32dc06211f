package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"

	"debusine"
	"debusine/files"
)

// uploadFile takes a file of an artifact, or a piece of it: 201 when the file
// is whole, 200 with Range when a piece has arrived. "Content-Range: bytes
// */SIZE" asks how far it is: 206 with Range, or 200 when it is whole. Range
// says "bytes=0-N" for N bytes, as Debusine's server does.
func (s *Server) uploadFile(c *call) error {
	id, err := c.number("id", "artifact")
	if err != nil {
		return err
	}
	f, on, err := s.db.ArtifactFile(c.ctx(), id, c.Param("*"))
	if err != nil {
		return err
	}
	if err := c.allow(on); err != nil {
		return err
	}
	piece, err := pieceOf(c.Request(), f)
	if err != nil {
		return err
	}
	key := uploadKey(id, f.Path)
	if piece.ask || f.Complete {
		return s.tellOffset(c, key, f, piece.ask)
	}
	body := io.Reader(newProgress(c))
	if piece.length >= 0 {
		body = &exactly{r: body, left: piece.length}
	}
	have, err := s.files.Append(c.ctx(), key, piece.start, body, files.Announced{Size: f.Size, SHA256: f.SHA256})
	var gap files.Gap
	if errors.As(err, &gap) {
		c.Response().Header().Set("Range", rangeOf(gap.Have))
	}
	if err != nil {
		return err
	}
	if have < f.Size {
		c.Response().Header().Set("Range", rangeOf(have))
		return c.NoContent(http.StatusOK)
	}
	if _, err := s.db.FileStored(c.ctx(), id, f.Path); err != nil {
		return err
	}
	return c.NoContent(http.StatusCreated)
}

func (s *Server) tellOffset(c *call, key string, f debusine.ArtifactFile, asked bool) error {
	switch {
	case f.Complete && asked:
		return c.NoContent(http.StatusOK)
	case f.Complete:
		return c.NoContent(http.StatusCreated)
	}
	have, err := s.files.Offset(key)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Range", rangeOf(have))
	return c.NoContent(http.StatusPartialContent)
}

func rangeOf(have int64) string { return fmt.Sprintf("bytes=0-%d", have) }

// uploadKey names the partial file of a file of an artifact.
func uploadKey(artifact int64, path string) string {
	return fmt.Sprintf("a%d-%x", artifact, sha256.Sum256([]byte(path)))
}

// piece is what a request brings of a file.
type piece struct {
	ask    bool  // nothing: it asks how far the file is
	start  int64 // offset of its first byte
	length int64 // in bytes; -1: to the body's end
}

var contentRange = regexp.MustCompile(`^bytes (?:\*|([0-9]{1,18})-([0-9]{1,18}))/(\*|[0-9]{1,18})$`)

// pieceOf reads Content-Range and Content-Length and holds them to what was
// announced.
func pieceOf(r *http.Request, f debusine.ArtifactFile) (piece, error) {
	header := r.Header.Get("Content-Range")
	if header == "" {
		if r.ContentLength >= 0 && r.ContentLength != f.Size {
			return piece{}, debusine.Conflictf("the body has %d bytes, the file was announced with %d", r.ContentLength, f.Size)
		}
		return piece{length: -1}, nil
	}
	m := contentRange.FindStringSubmatch(header)
	if m == nil {
		return piece{}, debusine.WithHint(debusine.Invalidf("Content-Range %.80q is malformed", header), "bytes FIRST-LAST/SIZE, or bytes */SIZE")
	}
	if m[3] != "*" && m[3] != strconv.FormatInt(f.Size, 10) {
		return piece{}, debusine.Conflictf("Content-Range speaks of %s bytes, the file was announced with %d", m[3], f.Size)
	}
	if m[1] == "" {
		return piece{ask: true}, nil
	}
	first, _ := strconv.ParseInt(m[1], 10, 64) // 18 digits fit
	last, _ := strconv.ParseInt(m[2], 10, 64)
	switch length := last - first + 1; {
	case last < first || last >= f.Size:
		return piece{}, debusine.Invalidf("Content-Range %q lies outside a file of %d bytes", header, f.Size)
	case r.ContentLength >= 0 && r.ContentLength < length:
		return piece{}, debusine.Invalidf("Content-Range %q speaks of %d bytes, the body has %d", header, length, r.ContentLength)
	default:
		return piece{start: first, length: length}, nil
	}
}

// exactly gives as many bytes as were announced, and misses those that do not
// come. Debusine's own client sends a mapped file, whose end may go beyond.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		return n, brokenOff{io.ErrUnexpectedEOF}
	}
	return n, err
}
