package pixels

import (
	"math"

	"github.com/cijepa/cijepa/model/draw"
)

// Crop says how an image becomes a square: a random part of it, or, with Shorter, its centre.
type Crop struct {
	Scale  [2]float64 // area of the random box, as a fraction of the image's area
	Ratio  [2]float64 // width/height of the random box
	Filter Filter
	Flip   bool // mirror one image in two

	// Shorter, when above 0, replaces the random box by a centre crop: the image is resized until
	// its shorter side has this many pixels. Scale, Ratio and Flip are ignored then.
	Shorter int
}

// PretrainCrop is I-JEPA's only augmentation: RandomResizedCrop of scale (0.3, 1), bilinear, no
// flip.
func PretrainCrop() Crop {
	return Crop{Scale: [2]float64{0.3, 1}, Ratio: [2]float64{3. / 4, 4. / 3}, Filter: Bilinear}
}

// ProbeCrop is the usual augmentation of linear probing: RandomResizedCrop of scale (0.08, 1),
// bicubic, flipped half the time.
func ProbeCrop() Crop {
	return Crop{Scale: [2]float64{0.08, 1}, Ratio: [2]float64{3. / 4, 4. / 3}, Filter: Bicubic, Flip: true}
}

// EvaluationCrop resizes the shorter side to size*256/224, bicubic, and keeps the central square of
// size pixels.
func EvaluationCrop(size int) Crop {
	return Crop{Filter: Bicubic, Shorter: max(size, size*256/224)}
}

// View is one square of one image, placed by Crop.View: a box of source pixels is resized to
// width x height as if nothing surrounded it, and the square of size pixels at (x, y) is kept.
type View struct {
	box           box
	width, height int
	x, y, size    int
	filter        Filter
	mirrored      bool // left to right
}

// box is a rectangle of pixels.
type box struct{ left, top, width, height int }

// View places the crop on an image of width x height pixels; the square has size x size pixels.
// All randomness comes from the stream, which may be nil when c.Shorter is set.
func (c Crop) View(width, height, size int, stream *draw.Stream) View {
	v := View{box: box{width: width, height: height}, width: size, height: size, size: size, filter: c.Filter}
	if c.Shorter > 0 {
		// As torchvision: Resize truncates the longer side, CenterCrop rounds halves to even.
		v.width, v.height = c.Shorter, c.Shorter
		if width <= height {
			v.height = int(float64(c.Shorter*height) / float64(width))
		} else {
			v.width = int(float64(c.Shorter*width) / float64(height))
		}
		v.x = int(math.RoundToEven(float64(v.width-size) / 2))
		v.y = int(math.RoundToEven(float64(v.height-size) / 2))
		return v
	}
	v.box, _ = c.randomBox(width, height, stream)
	v.mirrored = c.Flip && stream.Float64() < 0.5
	return v
}

// maxTries is how often randomBox draws before it falls back to a central box.
const maxTries = 10

// randomBox draws a box as torchvision's RandomResizedCrop.get_params does. It returns the try that
// fitted, 0..maxTries-1, or maxTries for the fallback: the largest central box of a legal ratio.
func (c Crop) randomBox(width, height int, stream *draw.Stream) (b box, try int) {
	area := float64(width) * float64(height)
	low, high := math.Log(c.Ratio[0]), math.Log(c.Ratio[1])
	for try := range maxTries {
		target := area * uniform(stream, c.Scale[0], c.Scale[1])
		ratio := math.Exp(uniform(stream, low, high))
		w := int(math.RoundToEven(math.Sqrt(target * ratio)))
		h := int(math.RoundToEven(math.Sqrt(target / ratio)))
		if 0 < w && w <= width && 0 < h && h <= height {
			b = box{width: w, height: h}
			b.top = stream.IntN(height - h + 1)
			b.left = stream.IntN(width - w + 1)
			return b, try
		}
	}
	b = box{width: width, height: height}
	switch ratio := float64(width) / float64(height); {
	case ratio < c.Ratio[0]:
		b.height = int(math.RoundToEven(float64(width) / c.Ratio[0]))
	case ratio > c.Ratio[1]:
		b.width = int(math.RoundToEven(float64(height) * c.Ratio[1]))
	}
	b.left, b.top = (width-b.width)/2, (height-b.height)/2
	return b, maxTries
}

// uniform draws from [low, high). The conversion to float64 forbids a fused multiply-add, which
// some processors would round differently.
func uniform(stream *draw.Stream, low, high float64) float64 {
	return low + float64((high-low)*stream.Float64())
}
