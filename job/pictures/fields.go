package pictures

import (
	"math"

	"gonum.org/v1/gonum/stat"

	"github.com/cijepa/cijepa/job/record"
)

// Fields are properties of the patches of images that no encoder changes. A principal component has
// no sign of its own: it is set so that the component rises with the field with which it correlates
// most, see Project. Components of two runs that mark the same patches then mostly have the same
// colours.
type Fields struct {
	grid   int
	images int
	fields []field
}

// field is one property: a value for each patch [n, grid, grid].
type field struct {
	name   string
	values []float64
}

// NewFields measures images that are cut into grid x grid patches.
func NewFields(images Images, grid int) Fields {
	n, patch := images.Len(), images.Side/grid
	middle := float64(grid-1) / 2
	all := []field{{name: record.Brightness}, {name: record.Midtones}, {name: record.Contrast}, {name: record.Warmth}, {name: record.Centre}, {name: record.Height}}
	lumas := make([]float64, patch*patch)
	for i := range n {
		pixels := images.Of(i)
		for row := range grid {
			for column := range grid {
				var warmth float64
				for k := range lumas {
					p := pixels[((row*patch+k/patch)*images.Side+column*patch+k%patch)*3:]
					lumas[k] = 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2]) // of BT.601
					warmth += float64(p[0]) - float64(p[2])
				}
				mean, variance := stat.PopMeanVariance(lumas, nil)
				distance := math.Hypot(float64(row)-middle, float64(column)-middle)
				for k, v := range []float64{mean, -math.Abs(mean - 127.5), math.Log1p(math.Sqrt(variance)), warmth, -distance, -float64(row)} {
					all[k].values = append(all[k].values, v)
				}
			}
		}
	}
	return Fields{grid: grid, images: n, fields: all}
}
