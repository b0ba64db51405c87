package pixels

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// resized resizes RGBX pixels with this build's codec.
func resized(t testing.TB, c *codec, pixels []byte, width, height int, v View) []byte {
	t.Helper()
	var horizontal, vertical coefficients
	left, right := horizontal.compute(v.filter, width, v.width, v.x, v.size, v.mirrored)
	top, bottom := vertical.compute(v.filter, height, v.height, v.y, v.size, false)
	stride := 4*(right-left) + horizontal.padding()
	region := make([]byte, stride*(bottom-top))
	for y := top; y < bottom; y++ {
		copy(region[stride*(y-top):], pixels[4*(width*y+left):4*(width*y+right)])
	}
	out := make([]byte, 3*v.size*v.size)
	if err := c.resize(region, stride, bottom-top, &horizontal, &vertical, v.size, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// definedResize is the definition of a resize: every output pixel is a weighted sum, rounded to
// bytes after each pass.
func definedResize(pixels []byte, width, height int, v View) []byte {
	radius, kernel := 1.0, func(x float64) float64 { return math.Max(0, 1-math.Abs(x)) }
	if v.filter == Bicubic {
		radius, kernel = 2, func(x float64) float64 {
			const a = -0.5
			switch x = math.Abs(x); {
			case x < 1:
				return ((a+2)*x-(a+3))*x*x + 1
			case x < 2:
				return (((x-5)*x+8)*x - 4) * a
			}
			return 0
		}
	}
	pass := func(in, out, o int, at func(i int) byte) byte {
		scale := float64(in) / float64(out)
		wide := math.Max(scale, 1)
		centre := (float64(o) + 0.5) * scale
		from := max(int(centre-radius*wide+0.5), 0)
		to := min(int(centre+radius*wide+0.5), in)
		total := 0.0
		for i := from; i < to; i++ {
			total += kernel((float64(i) - centre + 0.5) / wide)
		}
		sum := int64(1 << 21)
		for i := from; i < to; i++ {
			w := kernel((float64(i)-centre+0.5)/wide) / total
			sum += int64(math.Round(w*(1<<22))) * int64(at(i))
		}
		return byte(min(max(sum>>22, 0), 255))
	}
	middle := make([]byte, v.size*height*3)
	for y := range height {
		for x := range v.size {
			for c := range 3 {
				middle[3*(v.size*y+x)+c] = pass(width, v.width, v.x+x, func(i int) byte { return pixels[4*(width*y+i)+c] })
			}
		}
	}
	out := make([]byte, 3*v.size*v.size)
	for y := range v.size {
		for x := range v.size {
			to := x
			if v.mirrored {
				to = v.size - 1 - x
			}
			for c := range 3 {
				out[3*(v.size*y+to)+c] = pass(height, v.height, v.y+y, func(i int) byte { return middle[3*(v.size*i+x)+c] })
			}
		}
	}
	return out
}

// noise returns n random bytes.
func noise(stream *draw.Stream, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(stream.Uint64())
	}
	return out
}

// TestResizeEqualsItsDefinition on random sizes.
func TestResizeEqualsItsDefinition(t *testing.T) {
	c := newCodec()
	defer c.close()
	stream := draw.New(1, "resize")
	for n := range 300 {
		width, height := 1+stream.IntN(60), 1+stream.IntN(60)
		v := View{width: 1 + stream.IntN(80), height: 1 + stream.IntN(80)}
		v.filter, v.mirrored = Filter(stream.IntN(2)), n%2 == 1
		v.size = 1 + stream.IntN(min(v.width, v.height))
		v.x, v.y = stream.IntN(v.width-v.size+1), stream.IntN(v.height-v.size+1)
		pixels := noise(stream, 4*width*height)
		if got, want := resized(t, c, pixels, width, height, v), definedResize(pixels, width, height, v); !bytes.Equal(got, want) {
			largest, mean := differences(got, want)
			t.Fatalf("%dx%d to %+v: mean difference %.3f, largest %d", width, height, v, mean, largest)
		}
	}
}

// TestResizedRowsArePillows: the wanted rows were made with Pillow.
func TestResizedRowsArePillows(t *testing.T) {
	c := newCodec()
	defer c.close()
	var pixels []byte
	for _, level := range []byte{0, 50, 100, 200, 255} {
		pixels = append(pixels, level, level, level, 0)
	}
	for _, row := range []struct {
		filter Filter
		want   []byte
	}{
		{Bicubic, []byte{16, 110, 237}},
		{Bicubic, []byte{0, 17, 53, 81, 129, 195, 238, 255}},
		{Bilinear, []byte{21, 111, 231}},
	} {
		t.Run(fmt.Sprint(row.filter, len(row.want)), func(t *testing.T) {
			n := len(row.want)
			got := resized(t, c, pixels, 5, 1, View{width: n, height: n, size: n, filter: row.filter})
			for x, want := range row.want {
				if got[3*x] != want || got[3*x+2] != want {
					t.Errorf("pixel %d is %d, want %d", x, got[3*x], want)
				}
			}
		})
	}
}

// TestResizeToTheSameSizeChangesNothing, whatever the filter.
func TestResizeToTheSameSizeChangesNothing(t *testing.T) {
	c := newCodec()
	defer c.close()
	stream := draw.New(2, "resize")
	for _, filter := range []Filter{Bilinear, Bicubic} {
		for _, n := range []int{1, 2, 28, 97} {
			pixels := noise(stream, 4*n*n)
			got := resized(t, c, pixels, n, n, View{width: n, height: n, size: n, filter: filter})
			for i := range n * n {
				if !bytes.Equal(got[3*i:3*i+3], pixels[4*i:4*i+3]) {
					t.Fatalf("%v, %d pixels: pixel %d changed", filter, n, i)
				}
			}
		}
	}
}
