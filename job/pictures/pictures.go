// Package pictures draws what an encoder makes of a few images: the first three principal
// components of its tokens as colours, by depth, and the images that it finds nearest. It turns
// arrays into JPEG files. It knows no bucket, no graph and no data set.
//
//	pictures.go    which images and which depths are shown
//	components.go  principal components of tokens as colours
//	fields.go      the fields of the images that set the signs of components
//	sheet.go       tiles and headings as a file of bounded size
package pictures

import "math"

const (
	// Shown is the number of validation images of a run's pictures.
	Shown = 8
	// Nearest is the number of training images beside each of them.
	Nearest = 5
	// mostDepths is the number of depths that are shown at most.
	mostDepths = 5
)

// Images are square images of bytes [n, Side, Side, 3], in RGB.
type Images struct {
	Side   int
	Pixels []byte
}

// Len is the number of images.
func (i Images) Len() int { return len(i.Pixels) / (i.Side * i.Side * 3) }

// Of is image n.
func (i Images) Of(n int) []byte {
	size := i.Side * i.Side * 3
	return i.Pixels[n*size : (n+1)*size]
}

// Choose returns the numbers of the images that are shown of a split of n: the middles of Shown
// equal parts, or all if there are no more. They depend on n alone, so runs on one data set show
// the same images.
func Choose(n int) []int {
	shown := min(n, Shown)
	numbers := make([]int, shown)
	for i := range numbers {
		numbers[i] = (2*i + 1) * n / (2 * shown)
	}
	return numbers
}

// Depths returns the depths that are shown: all, or a few that are spread evenly, with the first
// and the last.
func Depths(all []int) []int {
	if len(all) <= mostDepths {
		return all
	}
	some := make([]int, mostDepths)
	for i := range some {
		some[i] = all[int(math.Round(float64(i*(len(all)-1))/(mostDepths-1)))]
	}
	return some
}
