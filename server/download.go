package server

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"debusine"
)

// downloadFile sends a file of an artifact: ranges, and the kernel's sendfile.
func (s *Server) downloadFile(c *call) error {
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
	if !f.Complete {
		return debusine.WithHint(debusine.Conflictf("%s has not been uploaded yet", on.What), "PUT it to this address")
	}
	header := c.Response().Header()
	header.Set("ETag", `"`+f.SHA256+`"`)
	header.Set("Content-Type", safeType(f))
	header.Set("Content-Disposition", disposition(path.Base(f.Path)))
	harmless(header)
	content, err := s.content(f)
	if err != nil {
		return err
	}
	defer content.Close()
	// The raw writer: Echo's own has no way to the kernel.
	c.Response().Committed = true
	http.ServeContent(newSteadily(c.Response().Writer), c.Request(), "", time.Time{}, content)
	return nil
}

// content opens a file's bytes; nothing needs no store.
func (s *Server) content(f debusine.ArtifactFile) (io.ReadSeekCloser, error) {
	if f.Size == 0 {
		return nothing{strings.NewReader("")}, nil
	}
	content, err := s.files.Open(f.SHA256)
	var missing debusine.Missing
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("file %q is recorded, but the store has lost its content %s", f.Path, f.SHA256)
	}
	return content, err
}

type nothing struct{ *strings.Reader }

// Close does nothing.
func (nothing) Close() error { return nil }

// harmless headers keep a browser from running what an uploader wrote.
func harmless(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	header.Set("Cache-Control", "private")
}

func disposition(name string) string {
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}

// safeType gives the announced type if a browser can do nothing with it that
// the uploader could abuse.
func safeType(f debusine.ArtifactFile) string {
	kind, parameters, err := mime.ParseMediaType(f.ContentType)
	safe := []string{"text/plain", "text/markdown", "application/json", "application/vnd.debian.binary-package", "application/x-xz", "application/gzip", "application/zstd", "application/x-tar"}
	if err != nil || !slices.Contains(safe, kind) {
		return "application/octet-stream"
	}
	if charset, ok := parameters["charset"]; ok {
		return mime.FormatMediaType(kind, map[string]string{"charset": charset})
	}
	return kind
}

// sendTar streams all files of an artifact as one archive. An error after its
// beginning breaks the connection: half an archive must not look whole.
func (s *Server) sendTar(c *call, a debusine.Artifact) error {
	if !a.Complete {
		return debusine.Conflictf("artifact %d is not complete", a.ID)
	}
	name := fmt.Sprintf("artifact-%d", a.ID)
	header := c.Response().Header()
	header.Set("Content-Type", "application/gzip")
	header.Set("Content-Disposition", disposition(name+".tar.gz"))
	harmless(header)
	out := newSteadily(c.Response().Writer)
	c.Response().Committed = true
	out.WriteHeader(http.StatusOK)
	zip, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zip)
	for _, f := range a.Files {
		if err := s.addToTar(archive, f, a.CreatedAt); err != nil {
			return fmt.Errorf("sending artifact %d: %w", a.ID, err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return fmt.Errorf("sending artifact %d: %w", a.ID, err)
	}
	return nil
}

func (s *Server) addToTar(archive *tar.Writer, f debusine.ArtifactFile, at time.Time) error {
	content, err := s.content(f)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Size: f.Size, Mode: 0o644, ModTime: at, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(archive, content)
	return err
}
