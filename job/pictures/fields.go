package pictures

import (
	"math"

	"github.com/cijepa/cijepa/job/record"
)

// Fields are properties of the patches of images that no encoder changes. A principal component has
// no sign of its own. Its sign is set so that it rises with the field with which it correlates
// most. Components of two depths or two runs that mark the same patches then have the same colours.
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
	var brightness, centre, height []float64
	for i := range n {
		pixels := images.Of(i)
		for row := range grid {
			for column := range grid {
				var sum float64
				for y := row * patch; y < (row+1)*patch; y++ {
					for x := column * patch; x < (column+1)*patch; x++ {
						p := pixels[(y*images.Side+x)*3:]
						sum += 0.299*float64(p[0]) + 0.587*float64(p[1]) + 0.114*float64(p[2]) // luma of BT.601
					}
				}
				middle := float64(grid-1) / 2
				brightness = append(brightness, sum)
				centre = append(centre, -math.Hypot(float64(row)-middle, float64(column)-middle))
				height = append(height, -float64(row))
			}
		}
	}
	return Fields{grid: grid, images: n, fields: []field{{record.Brightness, brightness}, {record.Centre, centre}, {record.Height, height}}}
}
