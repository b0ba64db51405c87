package classify

import "math"

// Neighbour is a training sample that is near a test sample.
type Neighbour struct {
	Sample     int
	Similarity float64 // cosine
}

// Neighbours returns the k nearest of the training samples [n, width] for each test sample [m,
// width], the nearest first: those that vote in NearestNeighbours. There are fewer if n is below k.
func Neighbours(train, test []float32, width, k int) [][]Neighbour {
	scale := inverseNorms(train, width)
	all := make([][]Neighbour, len(test)/width)
	var near [rowsAtOnce]nearest
	for i := range near {
		near[i].k = k
	}
	for first := 0; first < len(all); first += rowsAtOnce {
		rows := min(rowsAtOnce, len(all)-first)
		search(near[:], train, scale, test[first*width:(first+rows)*width], width)
		for i := range rows {
			of := norm(test[(first+i)*width:][:width])
			for _, f := range near[i].found {
				n := Neighbour{Sample: f.sample}
				if of > 0 {
					n.Similarity = float64(f.similarity) / of
				}
				all[first+i] = append(all[first+i], n)
			}
		}
	}
	return all
}

// norm is the Euclidean norm of a feature.
func norm(feature []float32) float64 {
	var square float64
	for _, x := range feature {
		square += float64(x) * float64(x)
	}
	return math.Sqrt(square)
}

// inverseNorms is 1 over the norm of each training sample, and 0 for features of zeros. The norm of
// a test sample does not change the order of its neighbours.
func inverseNorms(train []float32, width int) []float32 {
	scale := make([]float32, len(train)/width)
	for i := range scale {
		if of := norm(train[i*width : (i+1)*width]); of > 0 {
			scale[i] = float32(1 / of)
		}
	}
	return scale
}
