package debian

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// What a Reader accepts when it is told nothing else. The longest line in
// Debian's indices has some tens of kilobytes, the largest paragraph (the
// .changes of linux) some hundreds.
const (
	DefaultMaxLine      = 1 << 20
	DefaultMaxParagraph = 8 << 20
	DefaultMaxFields    = 256
)

// Reader reads the paragraphs of a control file one after another, in memory
// bounded by one paragraph. The limits may be changed before the first Next.
type Reader struct {
	MaxLine      int // bytes of one line
	MaxParagraph int // bytes of one paragraph
	MaxFields    int // fields of one paragraph

	lines lineReader
	err   error // why nothing more can be read
}

// NewReader reads from r with the default limits. For a file that may be
// signed, see ReadClearsigned.
func NewReader(r io.Reader) *Reader {
	return &Reader{
		MaxLine:      DefaultMaxLine,
		MaxParagraph: DefaultMaxParagraph,
		MaxFields:    DefaultMaxFields,
		lines:        lineReader{from: bufio.NewReaderSize(r, 64<<10)},
	}
}

// Next is the next paragraph, or io.EOF after the last. Comment lines are
// dropped. An error stays: nothing can be read after it.
func (r *Reader) Next() (Paragraph, error) {
	if r.err != nil {
		return Paragraph{}, r.err
	}
	p, err := r.next()
	if err != nil {
		r.err = err
		return Paragraph{}, err
	}
	return p, nil
}

func (r *Reader) next() (Paragraph, error) {
	var b paragraphBuilder
	size := 0
	for {
		line, err := r.readLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return Paragraph{}, err
		}
		if err == nil {
			size += len(line) + 1
		}
		switch {
		case err != nil && b.empty():
			return Paragraph{}, io.EOF
		case err != nil:
			return b.paragraph(), nil
		case size > r.MaxParagraph:
			return Paragraph{}, r.bad("the paragraph is longer than %d bytes", r.MaxParagraph)
		case trimRight(line) == "" && b.empty():
			size = 0
			continue
		case trimRight(line) == "":
			return b.paragraph(), nil
		case line[0] == '#':
			continue
		}
		if why := b.add(line, r.MaxFields); why != "" {
			return Paragraph{}, r.bad("%s", why)
		}
	}
}

// readLine is the next line without its end, or io.EOF when there is none.
func (r *Reader) readLine() (string, error) {
	r.lines.max = r.MaxLine
	line, err := r.lines.read()
	if err != nil {
		return "", err
	}
	if bytes.IndexByte(line, 0) >= 0 || !utf8.Valid(line) {
		return "", r.lines.bad("the line is not UTF-8 text")
	}
	return string(line), nil
}

func (r *Reader) bad(format string, args ...any) error { return r.lines.bad(format, args...) }

// lineReader reads lines of bounded length and counts them.
type lineReader struct {
	from *bufio.Reader
	max  int // bytes
	line int // lines read so far
}

// read is the next line without its end, \n or \r\n, or io.EOF when there is
// none. It is valid until the next read.
func (l *lineReader) read() ([]byte, error) {
	var long []byte
	for {
		part, err := l.from.ReadSlice('\n')
		if len(long)+len(part) > l.max+1 {
			l.line++
			return nil, l.bad("the line is longer than %d bytes", l.max)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case err != nil && len(long)+len(part) == 0:
			return nil, io.EOF
		}
		l.line++
		if long != nil {
			part = append(long, part...)
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(part, []byte("\n")), []byte("\r")), nil
	}
}

func (l *lineReader) bad(format string, args ...any) error {
	return malformedf("line %d: "+format, append([]any{l.line}, args...)...)
}

// paragraphBuilder collects lines; the values of several lines grow in one
// buffer, so that a long one costs no quadratic time.
type paragraphBuilder struct {
	p     Paragraph
	value strings.Builder
}

func (b *paragraphBuilder) empty() bool { return len(b.p.fields) == 0 }

// add takes a line that is neither empty nor a comment and tells what is wrong
// with it, "" when nothing is.
func (b *paragraphBuilder) add(line string, maxFields int) (why string) {
	if isBlank(line[0]) {
		if b.empty() {
			return "a continuation line stands before the first field"
		}
		b.value.WriteByte('\n')
		b.value.WriteString(trimRight(line))
		return ""
	}
	name, value, found := strings.Cut(line, ":")
	switch {
	case !found:
		return "no colon follows the field name in " + quote(line)
	case !validFieldName(name):
		return quote(name) + " is not a field name"
	case b.p.find(name) >= 0:
		return "field " + name + " stands twice"
	case len(b.p.fields) >= maxFields:
		return "the paragraph has too many fields"
	}
	b.flush()
	b.p.fields = append(b.p.fields, Field{Name: name})
	b.value.WriteString(trimLeft(trimRight(value)))
	return ""
}

// flush gives the last field the value that was collected for it.
func (b *paragraphBuilder) flush() {
	if n := len(b.p.fields); n > 0 {
		b.p.fields[n-1].Value = b.value.String()
	}
	b.value = strings.Builder{}
}

func (b *paragraphBuilder) paragraph() Paragraph {
	b.flush()
	return b.p
}

// readOne reads a file that holds exactly one paragraph and may be signed.
func readOne(r io.Reader, limit int) (Paragraph, error) {
	text, err := ReadClearsigned(r, limit)
	if err != nil {
		return Paragraph{}, err
	}
	reader := NewReader(bytes.NewReader(text))
	p, err := reader.Next()
	if errors.Is(err, io.EOF) {
		return Paragraph{}, malformedf("the file holds no field")
	}
	if err != nil {
		return Paragraph{}, err
	}
	switch _, err = reader.Next(); {
	case errors.Is(err, io.EOF):
		return p, nil
	case err != nil:
		return Paragraph{}, err
	}
	return Paragraph{}, malformedf("line %d: the file holds more than one paragraph", reader.lines.line)
}
