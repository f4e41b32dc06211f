package debian

import (
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Bounds on the memory that a packed part can ask for: the windows of the
// highest levels that dpkg-deb(1) knows, xz -9 and zstd --ultra -22.
const (
	maxXZWindow   = 64 << 20
	maxZstdWindow = 128 << 20
)

// UnsupportedCompression says that a part of a .deb is packed in a way that
// deb(5) does not know, or knows no more.
type UnsupportedCompression struct{ Suffix string }

func (u UnsupportedCompression) Error() string {
	return fmt.Sprintf("a part of the package is compressed as %s, which cannot be read", quote(u.Suffix))
}

// decompress opens a part whose name ends in suffix, which is without its dot;
// "" is a part that is not packed. All that a stream says about its size is
// ignored: the reader must be bounded by whoever reads it.
func decompress(r io.Reader, suffix string) (io.ReadCloser, error) {
	switch suffix {
	case "":
		return io.NopCloser(r), nil
	case "gz":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, unpackError(err)
		}
		return z, nil
	case "bz2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	case "xz":
		z, err := xz.NewReader(r, maxXZWindow)
		if err != nil {
			return nil, unpackError(err)
		}
		return io.NopCloser(z), nil
	case "zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, unpackError(err)
		}
		return z.IOReadCloser(), nil
	}
	return nil, UnsupportedCompression{Suffix: suffix}
}

// unpackError tells bad data from a disk that fails.
func unpackError(err error) error {
	var (
		onDisk *os.PathError
		m      Malformed
	)
	switch {
	case errors.As(err, &onDisk):
		return err
	case errors.As(err, &m):
		return m
	case errors.Is(err, xz.ErrMemlimit), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return malformedf("a part of the package needs more memory to unpack than dpkg-deb's highest level (%v)", err)
	}
	return malformedf("a part of the package cannot be unpacked: %v", err)
}

// boundedReader refuses to read more than it has left, where io.LimitReader
// would pretend that the data end.
type boundedReader struct {
	r    io.Reader
	left int64
	part string // "the control part"
	most int64
}

func bounded(r io.Reader, part string, most int64) *boundedReader {
	return &boundedReader{r, most, part, most}
}

func (b *boundedReader) tooLarge() error {
	return malformedf("%s is larger than %d bytes unpacked", b.part, b.most)
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.tooLarge()
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
