package predictions

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cijepa/cijepa/model/classify"
)

// maxRank stands for all higher ranks too: of bad classifiers they are noise, which does not pack.
const maxRank = 16

// maxBytes bounds the arrays of one object. Those of ImageNet's 50,000 images at twelve depths have
// 10 MB.
const maxBytes = 64 << 20

// Encode is the object. Its arrays:
//
//	classes                              the number of classes
//	labels [image]                       the classes of the images
//	depths [depth], knn_depths [k]       the collected depths that were measured
//	probe_class, untrained_probe_class   [depth, image] the class that ranks first; classes: none
//	probe_rank, untrained_probe_rank     [depth, image] classes that rank before the image's own;
//	                                     16: sixteen or more
//	knn_class, untrained_knn_class, knn_rank, untrained_knn_rank   the same [k, image]
//
// The bytes are a function of the predictions and of Go's compress/flate. Predictions that are not
// valid are an error.
func (p *Predictions) Encode() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("encoding predictions: %w", err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, f := range p.fields() {
		file, err := w.CreateHeader(&zip.FileHeader{Name: f.name + ".npy", Method: zip.Deflate}) // without a time
		if err == nil {
			_, err = file.Write(f.encode(f.get()))
		}
		if err != nil {
			return nil, fmt.Errorf("encoding predictions: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encoding predictions: %w", err)
	}
	return out.Bytes(), nil
}

// Shape is what a result says of its predictions.
type Shape struct {
	Classes, Images int
	Depths          []int
}

// Decode reads what Encode has written, and refuses whatever is not of this shape or not valid.
func Decode(object []byte, s Shape) (*Predictions, error) {
	// At four bytes a value, the arrays of all classifiers.
	if s.Classes < 1 || s.Images < 1 || len(s.Depths) < 1 || s.Images > maxBytes/(4*8*len(s.Depths)) {
		return nil, fmt.Errorf("%d images of %d classes at %d depths have no predictions", s.Images, s.Classes, len(s.Depths))
	}
	r, err := zip.NewReader(bytes.NewReader(object), int64(len(object)))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	left := uint64(maxBytes)
	for _, f := range r.File {
		if f.UncompressedSize64 > left {
			return nil, fmt.Errorf("its arrays have more than %d bytes", maxBytes)
		}
		left -= f.UncompressedSize64
		if files[f.Name], err = unpack(f); err != nil {
			return nil, fmt.Errorf("%.40q: %w", f.Name, err)
		}
	}
	knn := 0
	if size := len(files["knn_depths.npy"]) - headerSize; size > 0 {
		knn = min(size/2, len(s.Depths))
	}
	p := empty(s, knn)
	fields := p.fields()
	for _, f := range fields {
		values, err := f.decode(files[f.name+".npy"])
		if err != nil {
			return nil, err
		}
		f.set(values)
	}
	if len(r.File) != len(fields) {
		return nil, errors.New("it holds other files than its arrays")
	}
	if p.Classes != s.Classes || len(p.Labels) != s.Images || !slices.Equal(p.Depths, s.Depths) {
		return nil, fmt.Errorf("it is of %d images of %d classes at depths %v, and its result of %d of %d at %v",
			len(p.Labels), p.Classes, p.Depths, s.Images, s.Classes, s.Depths)
	}
	return p, p.check()
}

// unpack is the whole content of a file, whose checksum must be right.
func unpack(f *zip.File) ([]byte, error) {
	content, err := f.Open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(content) // no more than the size that the archive states
	return data, errors.Join(err, content.Close())
}

// empty has the shape of predictions, and zeros.
func empty(s Shape, knnDepths int) *Predictions {
	p := &Predictions{Classes: s.Classes, Labels: make([]int32, s.Images), Depths: make([]int, len(s.Depths)), KNNDepths: make([]int, knnDepths)}
	for _, m := range p.members() {
		for range *m.depths {
			*m.answers = append(*m.answers, classify.Answers{Classes: make([]int32, s.Images), Ranks: make([]int32, s.Images)})
		}
	}
	return p
}

// field is an array of the object and its place in the predictions.
type field struct {
	array
	get func() []int32
	set func([]int32)
}

// fields are the arrays of the object in order.
func (p *Predictions) fields() []field {
	all := []field{{
		newArray("classes", 1<<16), func() []int32 { return []int32{int32(p.Classes)} }, func(v []int32) { p.Classes = int(v[0]) },
	}, {
		newArray("labels", p.Classes, len(p.Labels)), func() []int32 { return p.Labels }, func(v []int32) { copy(p.Labels, v) },
	}, depthField("depths", p.Depths), depthField("knn_depths", p.KNNDepths)}
	for _, m := range p.members() {
		if len(*m.depths) == 0 {
			continue // no kNN
		}
		dims := []int{len(*m.answers), len(p.Labels)}
		all = append(all,
			answerField(newArray(m.name+"_class", p.Classes, dims...), p.Classes, *m.answers, func(a classify.Answers) []int32 { return a.Classes }),
			answerField(newArray(m.name+"_rank", maxRank, dims...), maxRank, *m.answers, func(a classify.Answers) []int32 { return a.Ranks }))
	}
	return all
}

func depthField(name string, depths []int) field {
	get := func() (values []int32) {
		for _, d := range depths {
			values = append(values, int32(d))
		}
		return values
	}
	return field{newArray(name, 1<<15, len(depths)), get, func(values []int32) {
		for i, v := range values {
			depths[i] = int(v)
		}
	}}
}

// answerField is an array [depth, image] in Fortran's order: the answers of all depths for an image
// stand together, where they are often the same, which packs well. Higher values are written as
// most.
func answerField(a array, most int, answers []classify.Answers, of func(classify.Answers) []int32) field {
	depths, images := a.dims[0], a.dims[1]
	get := func() []int32 {
		values := make([]int32, depths*images)
		for d := range depths {
			for i, v := range of(answers[d]) {
				values[i*depths+d] = min(v, int32(most))
			}
		}
		return values
	}
	return field{a, get, func(values []int32) {
		for i, v := range values {
			of(answers[i%depths])[i/depths] = v
		}
	}}
}
