package qr

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

const link = "https://evil.example.com/login?x=12345678"

// code is a QR code with modules of scale pixels, each a bool.
func code(t testing.TB, text string) *gozxing.BitMatrix {
	t.Helper()
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// picture draws a code with paper around it.
func picture(t testing.TB, text string, scale, margin int, dark, paper color.Color) *image.NRGBA {
	m := code(t, text)
	img := image.NewNRGBA(image.Rect(0, 0, m.GetWidth()*scale+2*margin, m.GetHeight()*scale+2*margin))
	draw.Draw(img, img.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	for y := range m.GetHeight() {
		for x := range m.GetWidth() {
			if m.Get(x, y) {
				draw.Draw(img, image.Rect(margin+x*scale, margin+y*scale, margin+(x+1)*scale, margin+(y+1)*scale), image.NewUniform(dark), image.Point{}, draw.Src)
			}
		}
	}
	return img
}

func encode(t testing.TB, write func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, img image.Image) []byte {
	return encode(t, func(b *bytes.Buffer) error { return png.Encode(b, img) })
}

func TestACodeIsReadInEveryKindOfPicture(t *testing.T) {
	plain := picture(t, link, 4, 20, color.Black, color.White)
	gray := image.NewGray(plain.Bounds())
	draw.Draw(gray, gray.Bounds(), plain, image.Point{}, draw.Src)
	large := image.NewNRGBA(image.Rect(0, 0, 2400, 1600))
	draw.Draw(large, large.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(large, image.Rect(900, 500, 2000, 1500), picture(t, link, 12, 20, color.Black, color.White), image.Point{}, draw.Src)
	clear := picture(t, link, 4, 20, color.Black, color.NRGBA{})
	for name, data := range map[string][]byte{
		"PNG": asPNG(t, plain), "gray PNG": asPNG(t, gray), "transparent PNG": asPNG(t, clear), "large PNG": asPNG(t, large),
		"JPEG":           encode(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, plain, &jpeg.Options{Quality: 50}) }),
		"GIF":            encode(t, func(b *bytes.Buffer) error { return gif.Encode(b, plain, nil) }),
		"light on dark":  asPNG(t, picture(t, link, 4, 20, color.White, color.Black)),
		"coloured":       asPNG(t, picture(t, link, 4, 20, color.NRGBA{120, 0, 60, 255}, color.NRGBA{255, 240, 200, 255})),
		"small modules":  asPNG(t, picture(t, link, 2, 10, color.Black, color.White)),
		"without margin": asPNG(t, picture(t, link, 5, 0, color.Black, color.White)),
	} {
		var r Reader
		if got, err := r.Picture(data); got != link || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestAPictureWithoutACodeIsDoneWithAtOneLook(t *testing.T) {
	photo := image.NewGray(image.Rect(0, 0, 400, 300))
	for i := range photo.Pix {
		x, y := float64(i%400), float64(i/400)
		photo.Pix[i] = byte(128 + 60*math.Sin(x/60) + 40*math.Cos(y/45) + float64(i*i%17))
	}
	if shrink(photo).hasFinder() {
		t.Error("a photograph seems to have a code")
	}
	for name, data := range map[string][]byte{"photo": asPNG(t, photo), "nothing": nil, "no picture": []byte("hello"), "cut": asPNG(t, picture(t, link, 4, 20, color.Black, color.White))[:300], "GIF head": []byte("GIF89a")} {
		var r Reader
		if got, err := r.Picture(data); got != "" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// H-cases of section 2-H: what a picture says of its size is asked before it is unpacked.
func TestPicturesBeyondTheBudgetAreNotDecoded(t *testing.T) {
	bomb := asPNG(t, picture(t, link, 4, 20, color.Black, color.White))
	binary.BigEndian.PutUint32(bomb[16:], 20_000) // width and height of IHDR, and its checksum
	binary.BigEndian.PutUint32(bomb[20:], 20_000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	if n := testing.AllocsPerRun(3, func() {
		var r Reader
		if _, err := r.Picture(bomb); err != nil {
			t.Error(err)
		}
	}); n > 100 {
		t.Errorf("%v allocations", n)
	}
	data := asPNG(t, picture(t, link, 4, 20, color.Black, color.White))
	var r Reader
	read := 0
	for range 100 {
		if text, _ := r.Picture(data); text != "" {
			read++
		}
	}
	if read != maxCodes {
		t.Errorf("%d codes were read", read)
	}
	stopped := Reader{Done: func() bool { return true }}
	if text, _ := stopped.Picture(data); text != "" {
		t.Error("a reader that should stop reads on")
	}
}

// document is a PDF with these objects.
func document(objects ...string) []byte {
	var b strings.Builder
	b.WriteString("%PDF-1.7\n")
	for i, o := range objects {
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	b.WriteString("trailer << >>\n%%EOF\n")
	return []byte(b.String())
}

func deflate(t testing.TB, s []byte) string {
	return string(encode(t, func(b *bytes.Buffer) error {
		w := zlib.NewWriter(b)
		if _, err := w.Write(s); err != nil {
			return err
		}
		return w.Close()
	}))
}

func TestCodesAndLinksOfDocumentsAreRead(t *testing.T) {
	img := picture(t, link, 4, 20, color.Black, color.White)
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	var rgb, grays, filtered, bits []byte
	for y := range h {
		filtered = append(filtered, 2)
		row := make([]byte, (w+7)/8)
		for x := range w {
			v := img.NRGBAAt(x, y).R
			rgb, grays = append(rgb, v, v, v), append(grays, v)
			above := byte(0)
			if y > 0 {
				above = img.NRGBAAt(x, y-1).R
			}
			filtered = append(filtered, v-above)
			if v > 127 {
				row[x/8] |= 1 << (7 - x%8)
			}
		}
		bits = append(bits, row...)
	}
	size := fmt.Sprintf("/Type/XObject/Subtype/Image/Width %d/Height %d", w, h)
	jpg := string(encode(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, img, nil) }))
	m := code(t, link)
	var drawing strings.Builder
	drawing.WriteString("1 1 1 rg 0 0 600 800 re f\n0 g\n")
	for y := range m.GetHeight() {
		for x := range m.GetWidth() {
			if m.Get(x, y) {
				fmt.Fprintf(&drawing, "%d %d 3 3 re f\n", 100+3*x, 500-3*y)
			}
		}
	}
	for name, pdf := range map[string][]byte{
		"JPEG":           document("<<" + size + "/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode>>\nstream\n" + jpg + "\nendstream"),
		"RGB samples":    document("<<" + size + "/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/FlateDecode>>\nstream\n" + deflate(t, rgb) + "\nendstream"),
		"gray samples":   document("<<" + size + "/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode>>\nstream\r\n" + deflate(t, grays) + "\nendstream"),
		"with predictor": document("<<" + size + "/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/FlateDecode/DecodeParms<</Predictor 15/Columns 1>>>>\nstream\n" + deflate(t, filtered) + "\nendstream"),
		"one bit":        document("<<"+size+"/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/FlateDecode>>\nstream\n"+deflate(t, bits)+"\nendstream", "<<>>"),
		"drawn":          document("<</Filter/FlateDecode>>\nstream\n" + deflate(t, []byte(drawing.String())) + "\nendstream"),
	} {
		var r Reader
		if codes, _, err := r.Document(pdf); len(codes) != 1 || codes[0] != link || err != nil {
			t.Errorf("%s: %q, %v", name, codes, err)
		}
	}
	var r Reader
	_, uris, err := r.Document(document("<</A<</S/URI/URI(https://a.example/\\(x\\))>>>>", "<</Type/ObjStm/Filter/FlateDecode>>\nstream\n"+deflate(t, []byte("<</S/URI /URI (https://b.example/)>>"))+"\nendstream"))
	if err != nil || fmt.Sprint(uris) != "[https://a.example/(x) https://b.example/]" {
		t.Errorf("%q, %v", uris, err)
	}
}

func TestABombInADocumentEnds(t *testing.T) {
	zeros := deflate(t, make([]byte, 12<<20))
	var objects []string
	for range 4 {
		objects = append(objects, "<</Filter/FlateDecode>>\nstream\n"+zeros+"\nendstream")
	}
	var r Reader
	if _, _, err := r.Document(document(objects...)); err != nil || r.inflated > maxInflated {
		t.Errorf("%d octets, %v", r.inflated, err)
	}
}

func FuzzPicture(f *testing.F) {
	f.Add(asPNG(f, picture(f, "http://a.example", 2, 4, color.Black, color.White)))
	f.Add([]byte("GIF89a"))
	f.Add([]byte("\xff\xd8\xff\xe0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Reader
		if _, err := r.Picture(data); err != nil {
			t.Error(err)
		}
	})
}

// FuzzField hands the library fields that no picture format checked.
func FuzzField(f *testing.F) {
	img := picture(f, "http://a.example", 2, 4, color.Black, color.White)
	f.Add(shrink(img).pix, 66)
	f.Fuzz(func(t *testing.T, pix []byte, w int) {
		if w < minSide || w > 400 || len(pix) < w*minSide || len(pix) > 400*400 {
			return
		}
		field := field{w: w, h: len(pix) / w, pix: pix[:len(pix)/w*w]}
		field.hasFinder()
		read(&luminance{field})
	})
}

func FuzzDocument(f *testing.F) {
	f.Add(document("<</Subtype/Image/Width 40/Height 40/BitsPerComponent 1>>\nstream\nxx\nendstream"))
	f.Add(document("<</A<</S/URI/URI(https://a.example/\\(x\\))>>>>"))
	f.Fuzz(func(t *testing.T, pdf []byte) {
		var r Reader
		_, uris, err := r.Document(pdf)
		if err != nil {
			t.Error(err)
		}
		if len(uris) > maxURIs {
			t.Errorf("%d links", len(uris))
		}
	})
}

func BenchmarkPhoto(b *testing.B) {
	photo := image.NewNRGBA(image.Rect(0, 0, 600, 400))
	for i := range photo.Pix {
		x, y := float64(i/4%600), float64(i/2400)
		photo.Pix[i] = byte(128 + 60*math.Sin(x/60) + 40*math.Cos(y/45) + float64(i*i%17))
	}
	data := encode(b, func(w *bytes.Buffer) error { return jpeg.Encode(w, photo, nil) })
	b.ReportAllocs()
	for b.Loop() {
		var r Reader
		if _, err := r.Picture(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCode(b *testing.B) {
	data := asPNG(b, picture(b, link, 6, 20, color.Black, color.White))
	b.ReportAllocs()
	for b.Loop() {
		var r Reader
		if text, _ := r.Picture(data); text == "" {
			b.Fatal("not read")
		}
	}
}

// The bounds are exact, and what lies behind one is known to have been missed.
func TestWhatIsNotLookedAtIsKnown(t *testing.T) {
	blank := func(w, h int) []byte {
		return encode(t, func(b *bytes.Buffer) error {
			return png.Encode(b, image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.White, color.Black}))
		})
	}
	small := blank(minSide, minSide)
	r := &Reader{}
	for n := range maxPictures + 1 {
		if _, err := r.Picture(small); err != nil || r.Missed != (n == maxPictures) {
			t.Fatalf("picture %d: missed %v, %v", n+1, r.Missed, err)
		}
	}
	for what, c := range map[string]struct {
		data   []byte
		missed bool
	}{
		"as large as may be": {blank(4096, maxPixels/4096), false}, "larger": {blank(4096, maxPixels/4096+1), true}, "no code fits": {blank(minSide-1, 9000), false},
		"too long": {append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, maxEncoded)...), true}, "no picture": {make([]byte, maxEncoded+1), false},
	} {
		r := &Reader{}
		if _, err := r.Picture(c.data); err != nil || r.Missed != c.missed {
			t.Errorf("%s: missed %v, %v", what, r.Missed, err)
		}
	}
	late := &Reader{Done: func() bool { return true }}
	if _, err := late.Picture(small); err != nil || !late.Missed {
		t.Errorf("no time: %v, %v", late.Missed, err)
	}
}
