package server

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"debusine"
	"debusine/api"
	"debusine/dput"
	"debusine/store"
)

// showExternalDebsign tells who made a work request what is to be signed.
func (s *Server) showExternalDebsign(c *call) error {
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	if _, err := store.Unsigned(w); err != nil {
		return err
	}
	out, err := s.showOne(c, w)
	if err != nil {
		return err
	}
	return c.reply(out)
}

// provideSignature takes the upload that a person signed, and verifies it: just
// the signed files differ, the signatures are good, and by somebody of the keyring.
func (s *Server) provideSignature(c *call) error {
	var in api.ExternalDebsign
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	unsigned, err := store.Unsigned(w)
	if err != nil {
		return err
	}
	if w.Status.Ended() {
		return debusine.Conflictf("work request %d has ended: it waits for no signature any more", w.ID)
	}
	signers, err := s.judgeSigned(c, unsigned, in.SignedArtifact)
	if err != nil {
		s.log.Warn("refused: a signature that a person provided", "id", w.ID, "artifact", in.SignedArtifact, "user", c.who.User, "error", err)
		return err
	}
	if err := s.engine.ProvideSignature(c.ctx(), w.ID, c.who.UserID, unsigned, in.SignedArtifact, debusine.OutputData{SignedBy: signers}); err != nil {
		return err
	}
	s.log.Info("signature provided", "id", w.ID, "artifact", in.SignedArtifact, "user", c.who.User, "signed_by", signers)
	return s.replyWorkRequest(c, w.ID)
}

// judgeSigned gives who signed.
func (s *Server) judgeSigned(c *call, unsigned, signed int64) ([]string, error) {
	before, _, err := s.db.Artifact(c.ctx(), unsigned)
	if err != nil {
		return nil, err
	}
	after, on, err := s.db.Artifact(c.ctx(), signed)
	if err != nil {
		return nil, err
	}
	if err := c.allowVerb(debusine.ReadArtifact, on); err != nil {
		return nil, err
	}
	if !after.Complete || after.Category != debusine.CategoryUpload {
		return nil, debusine.Conflictf("artifact %d is not a complete %s", signed, debusine.CategoryUpload)
	}
	if err := store.SameUnlessSigned(before, after, dput.IsControl); err != nil {
		return nil, err
	}
	keyring, err := s.signers()
	if err != nil {
		return nil, err
	}
	was, err := s.controls(before)
	if err != nil {
		return nil, err
	}
	is, err := s.controls(after)
	if err != nil {
		return nil, err
	}
	return dput.Resigned(was, is, keyring)
}

// longestSigned bounds the control files that a person signs, in bytes altogether.
const longestSigned = 4 << 20

// controls reads the control files of an upload.
func (s *Server) controls(a debusine.Artifact) (map[string][]byte, error) {
	texts, total := map[string][]byte{}, int64(0)
	for _, f := range a.Files {
		if !dput.IsControl(f.Path) {
			continue
		}
		if total += f.Size; total > longestSigned || len(texts) > 100 {
			return nil, debusine.Invalidf("the control files have %d bytes or more, %d are allowed", total, longestSigned)
		}
		content, err := s.content(f)
		if err != nil {
			return nil, err
		}
		texts[f.Path], err = io.ReadAll(content)
		content.Close()
		if err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// signers reads the keyring of those who may sign, as it is now: whoever keeps it
// need not restart the server.
func (s *Server) signers() (*dput.Keyring, error) {
	var files []string
	for _, name := range s.options.Signers {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, name)
			continue
		}
		for _, pattern := range []string{"*.asc", "*.gpg", "*.pgp"} {
			found, err := fs.Glob(os.DirFS(name), pattern)
			if err != nil {
				return nil, err
			}
			for _, f := range found {
				files = append(files, filepath.Join(name, f))
			}
		}
	}
	if len(files) == 0 {
		return nil, debusine.WithHint(debusine.Conflictf("this server knows nobody whose signature it could accept"),
			"an administrator names a keyring: debusine server --signers FILE|FOLDER, for example of Debian's package debian-keyring")
	}
	return dput.ReadKeyring(files...)
}
