package debian

import (
	"io"
	"strings"
)

// Field is one field of a control file. A value of several lines holds them as
// they were written: the first line, then each further one after a newline
// and with its leading blank. Trailing white space is gone.
type Field struct{ Name, Value string }

// Paragraph is a set of fields in the order of the file. Names are found
// regardless of case: deb822(5). The zero Paragraph is empty and usable.
type Paragraph struct{ fields []Field }

// Fields is a copy of the fields in their order.
func (p Paragraph) Fields() []Field { return append([]Field(nil), p.fields...) }

// Len is the number of fields.
func (p Paragraph) Len() int { return len(p.fields) }

// Get is the value of a field, "" where there is none.
func (p Paragraph) Get(name string) string {
	value, _ := p.Lookup(name)
	return value
}

// Lookup is the value of a field and whether the field is there at all.
func (p Paragraph) Lookup(name string) (string, bool) {
	if i := p.find(name); i >= 0 {
		return p.fields[i].Value, true
	}
	return "", false
}

// Lines are the lines of a value without the blanks around them, empty ones
// left out: what the lists of files need.
func (p Paragraph) Lines(name string) []string {
	var lines []string
	for line := range strings.SplitSeq(p.Get(name), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func (p Paragraph) find(name string) int {
	for i, f := range p.fields {
		if strings.EqualFold(f.Name, name) {
			return i
		}
	}
	return -1
}

// Set replaces the value of a field in its place, or adds the field at the
// end. It refuses what a Reader would read back differently.
func (p *Paragraph) Set(name, value string) error {
	if !validFieldName(name) {
		return malformedf("%s is not a field name", quote(name))
	}
	for i, line := range strings.Split(value, "\n") {
		if i > 0 && (line == "" || !isBlank(line[0])) {
			return malformedf("each further line of field %s must begin with a space", name)
		}
		if trimRight(line) != line || i > 0 && trimLeft(line) == "" || i == 0 && trimLeft(line) != line {
			return malformedf("field %s has an empty line, or white space around a line", name)
		}
		if strings.ContainsAny(line, "\r\x00") {
			return malformedf("field %s holds a control character", name)
		}
	}
	if i := p.find(name); i >= 0 {
		p.fields[i].Value = value
		return nil
	}
	p.fields = append(p.fields, Field{name, value})
	return nil
}

// Map is the fields as a JSON object would hold them.
func (p Paragraph) Map() map[string]string {
	m := make(map[string]string, len(p.fields))
	for _, f := range p.fields {
		m[f.Name] = f.Value
	}
	return m
}

// String is the paragraph in the form of deb822(5), without an empty line at
// its end. Read again, it gives the same paragraph.
func (p Paragraph) String() string {
	var b strings.Builder
	for _, f := range p.fields {
		b.WriteString(f.Name)
		b.WriteByte(':')
		if f.Value != "" && f.Value[0] != '\n' {
			b.WriteByte(' ')
		}
		b.WriteString(f.Value)
		b.WriteByte('\n')
	}
	return b.String()
}

// WriteParagraphs writes paragraphs with an empty line between them.
func WriteParagraphs(w io.Writer, paragraphs ...Paragraph) error {
	for i, p := range paragraphs {
		text := p.String()
		if i > 0 {
			text = "\n" + text
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

// validFieldName follows deb822(5): printable ASCII but space and colon, and
// neither # nor - at the front.
func validFieldName(s string) bool {
	if s == "" || s[0] == '#' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return true
}

func isBlank(c byte) bool       { return c == ' ' || c == '\t' }
func trimRight(s string) string { return strings.TrimRight(s, " \t\r\n\v\f") }
func trimLeft(s string) string  { return strings.TrimLeft(s, " \t\r\n\v\f") }
