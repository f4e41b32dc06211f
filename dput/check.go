package dput

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"slices"
	"strings"

	"debusine"
	"debusine/debian"
)

// Rules are what an upload is held to beyond its own consistency.
type Rules struct {
	Signed        bool // .changes and .dsc must be signed
	Keyring       *Keyring
	Distributions []string // those accepted; nil: any but UNRELEASED
	// Known says whether the archive is known to have a file. It may be nil.
	Known func(name, sha256 string) bool
}

// Checked is an upload that may be sent.
type Checked struct {
	Changes  *debian.Changes
	File     File   // the .changes
	Files    []File // what it lists, in its order
	Signers  []string
	Warnings []string // what dput would warn of
}

// Check does what dput does before it sends, on the bytes themselves: what the
// .changes and .dsc list is there, with the sizes and all checksums that they
// give, and nothing else is; names are plain; the distribution is one; what must
// be signed is; a source has what it is made of. The error is a fault.
func Check(files []File, rules Rules) (Checked, error) {
	c := &checking{rules: rules, files: map[string]File{}, sums: map[string]sums{}}
	if err := c.findAll(files); err != nil {
		return Checked{}, err
	}
	if err := c.readChanges(); err != nil {
		return Checked{}, err
	}
	for _, step := range []func() error{c.matchListed, c.checkDistribution, c.checkSource} {
		if err := step(); err != nil {
			return Checked{}, err
		}
	}
	return c.Checked, nil
}

// longestControl bounds a .changes or .dsc in bytes.
const longestControl = 16 << 20

type checking struct {
	Checked
	rules Rules
	files map[string]File
	sums  map[string]sums
	text  []byte // of the .changes
}

func (c *checking) findAll(files []File) error {
	var changes []string
	for _, f := range files {
		if _, err := debian.ParseFileName(f.Name); err != nil {
			return debusine.Invalidf("the upload: %v", err)
		}
		if _, twice := c.files[f.Name]; twice {
			return debusine.Invalidf("the upload holds %s twice", f.Name)
		}
		c.files[f.Name] = f
		if strings.HasSuffix(f.Name, ".changes") {
			changes = append(changes, f.Name)
		}
	}
	if len(changes) != 1 {
		return debusine.Invalidf("the upload holds %d .changes files, not one", len(changes))
	}
	c.File = c.files[changes[0]]
	return nil
}

// control reads a control file and holds its signature to the rules.
func (c *checking) control(f File) (text []byte, err error) {
	raw, err := readAll(f)
	if err != nil {
		return nil, err
	}
	text, signers, err := c.rules.Keyring.open(raw)
	if err != nil {
		return nil, debusine.WithHint(debusine.Invalidf("%s: %v", f.Name, err), "sign it anew (debsign)")
	}
	if len(signers) == 0 && c.rules.Signed {
		return nil, debusine.Invalid{What: f.Name + " is not signed", Hint: "sign the upload (key, or debusine work-request sign), or set require_signature: false"}
	}
	for _, s := range signers {
		if !slices.Contains(c.Signers, s) {
			c.Signers = append(c.Signers, s)
		}
	}
	return text, nil
}

func readAll(f File) ([]byte, error) {
	if f.Size > longestControl {
		return nil, debusine.Invalidf("%s has %d bytes, %d are allowed", f.Name, f.Size, longestControl)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", f.Name, err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, longestControl+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Name, err)
	}
	return raw, nil
}

func (c *checking) readChanges() (err error) {
	if c.text, err = c.control(c.File); err != nil {
		return err
	}
	if c.Changes, err = debian.ParseChanges(strings.NewReader(string(c.text))); err != nil {
		return debusine.Invalidf("%s: %v", c.File.Name, err)
	}
	return nil
}

// matchListed compares what the .changes lists with what there is.
func (c *checking) matchListed() error {
	listed := map[string]bool{c.File.Name: true}
	for _, l := range c.Changes.Files {
		listed[l.Name] = true
		f, found := c.files[l.Name]
		if !found {
			return debusine.Invalidf("%s lists %s, which the upload does not hold", c.File.Name, l.Name)
		}
		if err := c.matches(c.File.Name, c.Changes.Paragraph, l, f); err != nil {
			return err
		}
		c.Files = append(c.Files, f)
	}
	for name := range c.files {
		if !listed[name] {
			return debusine.Invalidf("the upload holds %s, which %s does not list", name, c.File.Name)
		}
	}
	return nil
}

// sums are the digests of a file by the names of the fields that have them.
type sums map[string]string

// digestsOf reads a file once. Weak digests are compared since archives compare
// them: an upload with a wrong one is rejected there.
func (c *checking) digestsOf(f File) (sums, error) {
	if known, ok := c.sums[f.Name]; ok {
		return known, nil
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", f.Name, err)
	}
	defer r.Close()
	hashes := map[string]hash.Hash{"Files": md5.New(), "Checksums-Sha1": sha1.New(), "Checksums-Sha256": sha256.New(), "Checksums-Sha512": sha512.New()}
	size, err := io.Copy(io.MultiWriter(hashes["Files"], hashes["Checksums-Sha1"], hashes["Checksums-Sha256"], hashes["Checksums-Sha512"]), r)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Name, err)
	}
	all := sums{"size": fmt.Sprint(size)}
	for field, h := range hashes {
		all[field] = hex.EncodeToString(h.Sum(nil))
	}
	if size != f.Size || all["Checksums-Sha256"] != f.SHA256 {
		return nil, fmt.Errorf("%s is not what was stored: it has %d bytes with SHA-256 %s", f.Name, size, all["Checksums-Sha256"])
	}
	c.sums[f.Name] = all
	return all, nil
}

// matches holds a file to all lists of a control file.
func (c *checking) matches(by string, p debian.Paragraph, l debian.File, f File) error {
	have, err := c.digestsOf(f)
	if err != nil {
		return err
	}
	if fmt.Sprint(l.Size) != have["size"] {
		return debusine.Invalidf("%s gives %s %d bytes, but it has %s", by, l.Name, l.Size, have["size"])
	}
	for _, field := range []string{"Checksums-Sha256", "Checksums-Sha512", "Checksums-Sha1", "Files"} {
		sum := have[field]
		for _, line := range p.Lines(field) {
			words := strings.Fields(line)
			if words[len(words)-1] == l.Name && !strings.EqualFold(words[0], sum) {
				return debusine.Invalidf("%s lists %s in %s with another checksum than it has", by, l.Name, field)
			}
		}
	}
	return nil
}

func (c *checking) checkDistribution() error {
	d := c.Changes.Distribution
	if c.rules.Distributions != nil && !slices.Contains(c.rules.Distributions, d) {
		return debusine.Invalid{What: fmt.Sprintf("%s is for %s, which does not go to this target", c.File.Name, d), Hint: "accepted: " + strings.Join(c.rules.Distributions, ", ")}
	}
	if strings.EqualFold(d, "UNRELEASED") {
		return debusine.Invalid{What: c.File.Name + " is for UNRELEASED, which no archive takes", Hint: "finish the changelog (dch --release), or set target_distribution"}
	}
	if inLog := changelogDistribution(c.Changes.Paragraph.Get("Changes")); inLog != "" && !strings.EqualFold(inLog, d) {
		c.warn("%s is for %s, but its changelog says %s", c.File.Name, d, inLog)
	}
	return nil
}

var topLine = regexp.MustCompile(`^ *\S+ \([^ )]+\)((?: +[-0-9A-Za-z.+~]+)+) *;`)

// changelogDistribution is that of the topmost entry in Changes.
func changelogDistribution(changes string) string {
	for line := range strings.Lines(changes) {
		if found := topLine.FindStringSubmatch(line); found != nil {
			return strings.Fields(found[1])[0]
		}
	}
	return ""
}

func (c *checking) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

// checkSource looks at the .dsc of an upload with source.
func (c *checking) checkSource() error {
	var dsc *File
	for _, f := range c.Files {
		if strings.HasSuffix(f.Name, ".dsc") {
			if dsc != nil {
				return debusine.Invalidf("%s lists more than one .dsc", c.File.Name)
			}
			dsc = &f
		}
	}
	if c.Changes.HasSource() != (dsc != nil) {
		return debusine.Invalidf("%s has Architecture: %s, which does not fit a .dsc being there or not", c.File.Name, c.Changes.Paragraph.Get("Architecture"))
	}
	if dsc == nil {
		return nil
	}
	text, err := c.control(*dsc)
	if err != nil {
		return err
	}
	d, err := debian.ParseDSC(strings.NewReader(string(text)))
	if err != nil {
		return debusine.Invalidf("%s: %v", dsc.Name, err)
	}
	if d.Source != c.Changes.Source || d.Version.Compare(c.Changes.SourceVersion) != 0 {
		return debusine.Invalidf("%s is about %s %s, but %s about %s %s", dsc.Name, d.Source, d.Version, c.File.Name, c.Changes.Source, c.Changes.SourceVersion)
	}
	var errs []error
	for _, l := range d.Files {
		errs = append(errs, c.partOfSource(dsc.Name, d, l))
	}
	return errors.Join(errs...)
}

// partOfSource looks for a file that the .dsc lists. The upstream's tarballs may
// be in the archive already; nothing else may.
func (c *checking) partOfSource(by string, d *debian.DSC, l debian.File) error {
	if f, found := c.files[l.Name]; found {
		return c.matches(by, d.Paragraph, l, f)
	}
	if !strings.Contains(l.Name, ".orig.tar.") && !strings.Contains(l.Name, ".orig-") {
		return debusine.Invalidf("%s lists %s, which the upload does not hold", by, l.Name)
	}
	if c.rules.Known != nil && c.rules.Known(l.Name, l.SHA256) {
		return nil
	}
	if firstRevision(d.Version.String()) {
		return debusine.Invalid{What: fmt.Sprintf("%s lists %s, which the upload does not hold, and an archive can hardly have it before revision %s", by, l.Name, d.Version),
			Hint: "make the upload with the upstream source: dpkg-genchanges -sa"}
	}
	c.warn("%s is not in the upload; the archive must have it already", l.Name)
	return nil
}

// firstRevision is dpkg-genchanges' rule of when the upstream source goes along.
func firstRevision(version string) bool {
	i := strings.LastIndex(version, "-")
	return i < 0 || slices.Contains([]string{"0", "1", "0.1"}, version[i+1:])
}
