package qr

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// The bounds of one message (HOSTILE section 2-H: decoded pictures are memory).
const (
	maxPixels   = 8 << 20  // of one picture
	maxMessage  = 16 << 20 // pixels of all pictures
	maxPictures = 100      // what they cost is bounded by their pixels and by Done
	maxInflated = 32 << 20 // octets of all streams of documents
	maxStreams  = 1000
	maxEncoded  = 8 << 20 // octets of one picture as it is sent
	minSide     = 40      // pixels: the smallest code has 21 modules
	maxSide     = 1000    // pixels of what codes are looked for in; larger pictures are made smaller
	maxCodes    = 20
)

// ErrCrash means that the reader of codes crashed.
var ErrCrash = errors.New("the reader of QR codes crashed")

// A Reader reads the pictures and documents of one message. Its zero value is ready; it is not for concurrent use.
type Reader struct {
	Done func() bool // ends the reading early, if set and true
	// Missed says that something was not looked at for a bound, or not all of it: nobody knows whether it holds a code.
	Missed bool

	pixels   int64
	pictures int
	inflated int64
	streams  int
	codes    int
}

// spent reports whether the budget is used up.
func (r *Reader) spent() bool {
	return r.pictures >= maxPictures || r.pixels >= maxMessage || r.codes >= maxCodes || r.Done != nil && r.Done()
}

// Picture is the text of the QR code in a PNG, JPEG or GIF picture; empty if there is none. Only a crash is an error.
func (r *Reader) Picture(data []byte) (text string, err error) {
	config, decode := kind(data)
	if decode == nil {
		return "", nil
	}
	if len(data) > maxEncoded || r.spent() {
		r.Missed = true
		return "", nil
	}
	c, cerr := config(bytes.NewReader(data))
	if cerr != nil || !r.take(c.Width, c.Height) {
		return "", nil
	}
	defer func() {
		if p := recover(); p != nil {
			text, err = "", fmt.Errorf("%w: %v", ErrCrash, p)
		}
	}()
	img, derr := decode(bytes.NewReader(data))
	if derr != nil {
		return "", nil
	}
	return r.gray(shrink(img)), nil
}

// take counts a picture and reports whether it may be decoded.
func (r *Reader) take(width, height int) bool {
	if width < minSide || height < minSide {
		return false
	}
	pixels := int64(width) * int64(height)
	if pixels > maxPixels || r.pixels+pixels > maxMessage || r.spent() {
		r.Missed = true
		return false
	}
	r.pictures++
	r.pixels += pixels
	return true
}

// kind is how a picture is to be read, by its first octets.
func kind(data []byte) (func(*bytes.Reader) (image.Config, error), func(*bytes.Reader) (image.Image, error)) {
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return func(r *bytes.Reader) (image.Config, error) { return png.DecodeConfig(r) }, func(r *bytes.Reader) (image.Image, error) { return png.Decode(r) }
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return func(r *bytes.Reader) (image.Config, error) { return jpeg.DecodeConfig(r) }, func(r *bytes.Reader) (image.Image, error) { return jpeg.Decode(r) }
	case bytes.HasPrefix(data, []byte("GIF8")):
		return func(r *bytes.Reader) (image.Config, error) { return gif.DecodeConfig(r) }, func(r *bytes.Reader) (image.Image, error) { return gif.Decode(r) }
	}
	return nil, nil
}

// A field is a picture in shades of gray.
type field struct {
	w, h int
	pix  []byte
}

// gray reads the code in a field, dark on light or light on dark.
func (r *Reader) gray(f field) string {
	if !f.hasFinder() {
		return ""
	}
	source := gozxing.LuminanceSource(&luminance{f})
	for range 2 {
		if text := read(source); text != "" {
			r.codes++
			return text
		}
		for i := range f.pix {
			f.pix[i] = 255 - f.pix[i]
		}
	}
	return ""
}

// read asks the library.
func read(source gozxing.LuminanceSource) string {
	for _, binarize := range [...]func(gozxing.LuminanceSource) gozxing.Binarizer{gozxing.NewHybridBinarizer, gozxing.NewGlobalHistgramBinarizer} {
		bitmap, err := gozxing.NewBinaryBitmap(binarize(source))
		if err != nil {
			return ""
		}
		if result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil); err == nil {
			return result.GetText()
		}
	}
	return ""
}

// luminance gives the library a field.
type luminance struct{ field }

// GetRow implements gozxing.LuminanceSource.
func (l *luminance) GetRow(y int, row []byte) ([]byte, error) {
	if y < 0 || y >= l.h {
		return nil, errors.New("no such row")
	}
	return append(row[:0], l.pix[y*l.w:(y+1)*l.w]...), nil
}

// GetMatrix implements gozxing.LuminanceSource.
func (l *luminance) GetMatrix() []byte { return l.pix }

// GetWidth implements gozxing.LuminanceSource.
func (l *luminance) GetWidth() int { return l.w }

// GetHeight implements gozxing.LuminanceSource.
func (l *luminance) GetHeight() int { return l.h }

// IsCropSupported implements gozxing.LuminanceSource.
func (*luminance) IsCropSupported() bool { return false }

// Crop implements gozxing.LuminanceSource.
func (*luminance) Crop(int, int, int, int) (gozxing.LuminanceSource, error) {
	return nil, errUnsupported
}

// IsRotateSupported implements gozxing.LuminanceSource.
func (*luminance) IsRotateSupported() bool { return false }

// RotateCounterClockwise implements gozxing.LuminanceSource.
func (*luminance) RotateCounterClockwise() (gozxing.LuminanceSource, error) {
	return nil, errUnsupported
}

// RotateCounterClockwise45 implements gozxing.LuminanceSource.
func (*luminance) RotateCounterClockwise45() (gozxing.LuminanceSource, error) {
	return nil, errUnsupported
}

// Invert implements gozxing.LuminanceSource.
func (l *luminance) Invert() gozxing.LuminanceSource { return gozxing.LuminanceSourceInvert(l) }

// String implements gozxing.LuminanceSource.
func (l *luminance) String() string { return fmt.Sprintf("%d x %d", l.w, l.h) }

var errUnsupported = errors.New("not supported")
