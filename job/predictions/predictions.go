// Package predictions is what the classifiers of a run say of every validation image, as one object
// beside its result: a zip of NumPy arrays, which numpy.load opens. It knows arrays and bytes, and
// neither how answers are computed nor how a bucket is read or written.
//
//	predictions.go  the answers, and what of them is valid
//	npz.go          them as bytes
//	npy.go          one array
package predictions

import (
	"fmt"
	"slices"

	"github.com/cijepa/cijepa/model/classify"
)

// File is the name of the object in the folder of a run, or of a probe that is no phase of a run.
const File = "predictions.npz"

// Predictions are the answers for the n images of a validation split, in its order. The sample that
// stands in for an image that cannot be decoded has its own label. The kNN is measured at the
// deepest depth alone: at each of twelve depths it would keep 4.7 GB of features of ImageNet-100.
type Predictions struct {
	Classes   int     // of the data
	Labels    []int32 // [n]
	Depths    []int   // of the linear probes
	KNNDepths []int   // of the kNN; none: it was not measured

	// By depth, of the trained teacher and of the encoder before its first update.
	Probe, UntrainedProbe, KNN, UntrainedKNN []classify.Answers
}

// members are the answers with the name of their arrays.
func (p *Predictions) members() []member {
	return []member{
		{"probe", &p.Depths, &p.Probe}, {"untrained_probe", &p.Depths, &p.UntrainedProbe},
		{"knn", &p.KNNDepths, &p.KNN}, {"untrained_knn", &p.KNNDepths, &p.UntrainedKNN},
	}
}

type member struct {
	name    string
	depths  *[]int
	answers *[]classify.Answers
}

// check returns an error unless every array has its size, every value its range, and an answer is
// right if and only if the image's class ranks first.
func (p *Predictions) check() error {
	for i, label := range p.Labels {
		if label < 0 || int(label) >= p.Classes {
			return fmt.Errorf("label %d of image %d is not among %d classes", label, i, p.Classes)
		}
	}
	for _, depth := range p.KNNDepths {
		if !slices.Contains(p.Depths, depth) {
			return fmt.Errorf("the kNN at depth %d is of no collected depth %v", depth, p.Depths)
		}
	}
	for _, m := range p.members() {
		if len(*m.answers) != len(*m.depths) {
			return fmt.Errorf("%s has answers at %d depths and names %d", m.name, len(*m.answers), len(*m.depths))
		}
		for i, a := range *m.answers {
			if err := p.checkAnswers(a); err != nil {
				return fmt.Errorf("%s at depth %d: %w", m.name, (*m.depths)[i], err)
			}
		}
	}
	return nil
}

func (p *Predictions) checkAnswers(a classify.Answers) error {
	if len(a.Classes) != len(p.Labels) || len(a.Ranks) != len(p.Labels) {
		return fmt.Errorf("%d classes and %d ranks of %d images", len(a.Classes), len(a.Ranks), len(p.Labels))
	}
	for i, class := range a.Classes {
		rank := a.Ranks[i]
		if least, most := min(class, rank), max(class, rank); least < 0 || int(most) > p.Classes {
			return fmt.Errorf("image %d has class %d and rank %d of %d classes", i, class, rank, p.Classes)
		}
		if right := class == p.Labels[i]; right != (rank == 0) {
			return fmt.Errorf("image %d has class %d, label %d and rank %d", i, class, p.Labels[i], rank)
		}
	}
	return nil
}
