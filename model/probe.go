package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/model/draw"
)

// Probe measures what a frozen encoder has learnt: one linear layer for every collected depth, on
// the mean of that depth's tokens, trained by cross-entropy and AdamW without decay. All depths
// share one pass through the encoder, which is nearly all of the work. The result is a function of
// the encoder, the seed and the batches. One goroutine at a time may use a Probe.
type Probe struct {
	*frozenEncoder
	ProbeConfig
	encoder []*tensors.Tensor
	white   []*tensors.Tensor // the features' mean [L, D] and whitening matrix [L, D, D]; nil: the heads see them as they are
	// The heads are stacked by depth: heads.*.weight [L, classes, D], heads.*.bias [L, classes].
	heads                     *paramGroup
	trainProgram, evalProgram *Exec
	lost                      error // why the heads are gone: a program failed after it had taken them
}

// ProbeConfig holds the settings of a Probe.
type ProbeConfig struct {
	Classes int
	Batch   int     // images of a pass
	LR      float64 // learning rate of the first update
}

// LRAt is the learning rate of an update, counted from 1: linear from LR in the first one to 0
// after the last.
func (c ProbeConfig) LRAt(update, total int64) float64 {
	return c.LR * (1 - float64(update-1)/float64(total))
}

// NewProbe makes a probe of an encoder of these sizes. Weights and biases are uniform in
// +-1/sqrt(width), as PyTorch initialises Linear. Those of a depth depend on the seed and the depth
// alone.
func NewProbe(d *Device, cfg Config, pc ProbeConfig, enc *Encoder, seed uint64) (p *Probe, err error) {
	defer recovered(&err, "making the probe")
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if pc.Classes < 1 || pc.Classes > maxWidth {
		return nil, fieldError("Classes", pc.Classes, "must lie in 1..%d", maxWidth)
	}
	cfg.Depths = slices.Clone(cfg.Depths)
	p = &Probe{ProbeConfig: pc}
	if p.frozenEncoder, err = newFrozenEncoder(d, cfg, pc.Batch); err != nil {
		return nil, err
	}
	if p.encoder, err = p.uploadEncoder(enc); err != nil {
		return nil, fmt.Errorf("making the probe: %w", err)
	}
	if p.heads, err = p.newHeads(seed); err != nil {
		return nil, fmt.Errorf("making the probe: %w", err)
	}
	if p.trainProgram, err = NewExec(d.backend, p.trainHeads); err != nil {
		return nil, fmt.Errorf("making the program probe: %w", err)
	}
	if p.evalProgram, err = NewExec(d.backend, p.evalHeads); err != nil {
		return nil, fmt.Errorf("making the program score: %w", err)
	}
	p.trainProgram, p.evalProgram = p.trainProgram.WithName("probe"), p.evalProgram.WithName("score")
	return p, nil
}

// newHeads draws the linear layers. Each depth has one stream, for its weight and then its bias.
func (p *Probe) newHeads(seed uint64) (*paramGroup, error) {
	streams := make([]*draw.Stream, len(p.Depths))
	for i, depth := range p.Depths {
		streams[i] = draw.New(seed, "probe", uint64(depth))
	}
	bound := 1 / math.Sqrt(float64(p.Width))
	arrays := linearArrays("heads.*", len(p.Depths), p.Classes, p.Width)
	return newParamGroup(p.device, arrays, func(_ int, a array) (data []byte) {
		for _, stream := range streams {
			for range a.rowSize() {
				x := float32(bound * (2*stream.Float64() - 1))
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
			}
		}
		return data
	})
}

// Whiten lets the heads see whitened features from now on, by those of a sample of images, [n, L,
// D] as Features returns them (classify.Whitening). The map is linear, so the probe stays one. But
// features that are small or much alike no longer need many more updates than others.
func (p *Probe) Whiten(sample []float32) (err error) {
	defer recovered(&err, "whitening")
	depths, width := len(p.Depths), p.Width
	n := len(sample) / (depths * width)
	if n < 2 || len(sample)%(depths*width) != 0 {
		return fieldError("Sample", len(sample), "must be features of 2 images or more, %d each", depths*width)
	}
	var means, matrices []float32
	for i := range depths {
		features := make([]float32, 0, n*width)
		for row := range slices.Chunk(sample, depths*width) {
			features = append(features, row[i*width:(i+1)*width]...)
		}
		mean, matrix, err := classify.Whitening(features, width)
		if err != nil {
			return fmt.Errorf("whitening the features of depth %d: %w", p.Depths[i], err)
		}
		means, matrices = append(means, mean...), append(matrices, matrix...)
	}
	for _, t := range p.white {
		if err := t.FinalizeAll(); err != nil {
			return fmt.Errorf("whitening: %w", err)
		}
	}
	p.white = []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(means, depths, width),
		tensors.FromFlatDataAndDimensions(matrices, depths, width, width),
	}
	return nil
}

// labelledFeatures checks a labelled batch. It returns its features [B, L, D] and its classes [B]
// on the device, both padded to a full batch.
func (p *Probe) labelledFeatures(images []byte, labels []int32) (features, classes *tensors.Tensor, err error) {
	if p.lost != nil {
		return nil, nil, fmt.Errorf("the state was lost before: %w", p.lost)
	}
	n, err := p.imageCount(images)
	if err != nil {
		return nil, nil, err
	}
	if len(labels) != n {
		return nil, nil, fieldError("Labels", len(labels), "must be %d, one an image", n)
	}
	padded := make([]int32, p.batch)
	for i, label := range labels {
		if label < 0 || int(label) >= p.Classes {
			return nil, nil, fieldError("Labels", label, "must lie in 0..%d", p.Classes-1)
		}
		padded[i] = label
	}
	features, squares, err := p.forward(p.encoder, images)
	if err != nil {
		return nil, nil, err
	}
	return features, tensors.FromValue(padded), squares.FinalizeAll()
}

// Step makes one update from n <= Batch images, bytes [n, S, S, 3], and their classes. It returns
// the loss of every depth before the update, mean over the n images. After an error of the device
// the probe has no state until Load.
func (p *Probe) Step(images []byte, labels []int32, lr float64) (loss []float64, err error) {
	features, classes, err := p.labelledFeatures(images, labels)
	if err != nil {
		return nil, fmt.Errorf("probe step: %w", err)
	}
	defer func() { err = errors.Join(err, features.FinalizeAll()) }()
	share := make([]float32, p.batch)
	for i := range labels {
		share[i] = 1 / float32(len(labels))
	}
	scalars := adamWScalars(lr, 0, p.heads.updates+1)
	in := []*tensors.Tensor{classes, tensors.FromValue(share), tensors.FromValue(scalars[:])}
	owned := join(pointers(p.heads.params), pointers(p.heads.m), pointers(p.heads.v))
	results, err := p.device.run(p.trainProgram, in, join([]*tensors.Tensor{features}, p.white), owned)
	if err != nil {
		p.lost = err
		return nil, fmt.Errorf("probe step: %w", err)
	}
	p.heads.updates++
	return results[0], nil
}

// Classify answers for n <= Batch images, bytes [n, S, S, 3], at every collected depth as in
// Config.Depths. Of classes with equal logits the lower one ranks first. A class whose logit is NaN
// ranks before every other one: then no class ranks first, and no label is right.
func (p *Probe) Classify(images []byte, labels []int32) (answers []classify.Answers, err error) {
	features, classes, err := p.labelledFeatures(images, labels)
	if err != nil {
		return nil, fmt.Errorf("probe score: %w", err)
	}
	defer func() { err = errors.Join(err, features.FinalizeAll()) }()
	in := []*tensors.Tensor{classes}
	results, err := p.device.run(p.evalProgram, in, join([]*tensors.Tensor{features}, p.white, p.heads.params), nil)
	if err != nil {
		return nil, fmt.Errorf("probe score: %w", err)
	}
	answers = make([]classify.Answers, len(p.Depths))
	for depth := range answers {
		for i := range labels {
			at := depth*p.batch + i
			answers[depth].Classes = append(answers[depth].Classes, int32(results[0][at]))
			answers[depth].Ranks = append(answers[depth].Ranks, int32(results[1][at]))
		}
	}
	return answers, nil
}

// Features are the means over the tokens of n <= Batch images, bytes [n, S, S, 3]: [n, L, D].
func (p *Probe) Features(images []byte) (pooled []float32, err error) {
	n, err := p.imageCount(images)
	if err != nil {
		return nil, fmt.Errorf("probe features: %w", err)
	}
	features, squares, err := p.forward(p.encoder, images)
	if err != nil {
		return nil, fmt.Errorf("probe features: %w", err)
	}
	defer func() { err = errors.Join(err, features.FinalizeAll(), squares.FinalizeAll()) }()
	all, err := tensors.CopyFlatData[float32](features)
	if err != nil {
		return nil, fmt.Errorf("probe features: %w", err)
	}
	return all[:n*len(p.Depths)*p.Width], nil
}

// The probe's own small programs, on features that are already on the device. Shapes:
//
//	B images of a pass   L collected depths   D width of the features   K classes

// logits of every depth: features [B, L, D], weight [L, K, D], bias [L, K] -> [L, B, K]. They are
// float32 in both precisions: beside the encoder they cost nothing.
func logits(features, weight, bias *Node) *Node {
	y := dot(features, weight, []int{2}, []int{1}, []int{2}, []int{0})
	return Add(y, InsertAxes(bias, 1))
}

// features are those of a batch as the heads see them, [B, L, D]. Inputs: features [B, L, D], and
// what whitens them.
func (p *Probe) features(in *inputs) *Node {
	features := in.one()
	if p.white == nil {
		return features
	}
	mean, matrix := InsertAxes(in.one(), 0), in.one()                                 // [1, L, D], [L, D, D]
	white := dot(Sub(features, mean), matrix, []int{2}, []int{1}, []int{2}, []int{0}) // [L, B, D]
	return TransposeAllAxes(white, 1, 0, 2)
}

// trainHeads is one update of the heads. Inputs: classes [B], the weight of every image in the loss
// [B], scalars [3], those of features, then the heads' params and both moments. Outputs: loss [L],
// then the heads.
func (p *Probe) trainHeads(nodes []*Node) []*Node {
	in := inputs{nodes}
	classes, share, scalars, features := in.one(), in.one(), in.one(), p.features(&in)
	heads := in.trained(len(p.heads.arrays))
	features = StopGradient(features)
	logProbs := LogSoftmax(logits(features, heads.params[0], heads.params[1]), -1) // [L, B, K]
	oneHot := InsertAxes(OneHot(classes, p.Classes, dtypes.Float32), 0)            // [1, B, K]
	crossEntropy := Neg(ReduceSum(Mul(logProbs, oneHot), -1))                      // [L, B]
	loss := ReduceSum(Mul(crossEntropy, InsertAxes(share, 0)), -1)                 // [L]
	// The sum over the depths has the gradients of each: no depth has another's head.
	gradients := Gradient(ReduceAllSum(loss), heads.params...)
	var after trained[*Node]
	for i, a := range p.heads.arrays {
		params, m, v := adamW(a, scalars, heads.params[i], heads.m[i], heads.v[i], gradients[i])
		after.params, after.m, after.v = append(after.params, params), append(after.m, m), append(after.v, v)
	}
	return join([]*Node{loss}, after.params, after.m, after.v)
}

// evalHeads ranks the classes. Inputs: classes [B], those of features, the heads' params. Outputs,
// as float32: the class that ranks first [L, B], K if a logit is NaN, and the number of classes
// that rank before the label's [L, B].
func (p *Probe) evalHeads(nodes []*Node) []*Node {
	in := inputs{nodes}
	classes, features := in.one(), p.features(&in)
	y := logits(features, in.one(), in.one()) // [L, B, K]
	class := Iota(y.Graph(), shapes.Make(dtypes.Int32, y.Shape().Dimensions...), 2)
	label := BroadcastToShape(Reshape(classes, 1, -1, 1), class.Shape())
	logit := ReduceAndKeep(Where(Equal(class, label), y, ZerosLike(y)), ReduceSum, -1) // [L, B, 1] the label's
	// A class ranks before the label unless it is known to rank behind, so NaN counts as wrong.
	behind := LogicalOr(LessThan(y, logit), LogicalAnd(Equal(y, logit), GreaterOrEqual(class, label)))
	rank := ReduceSum(ConvertDType(LogicalNot(behind), dtypes.Float32), -1) // [L, B]
	none := Scalar(y.Graph(), dtypes.Int32, p.Classes)
	highest := Equal(y, ReduceAndKeep(y, ReduceMax, -1))
	first := ReduceMin(Where(highest, class, none), -1) // [L, B]
	// Backends differ in the maximum over a NaN, so NaN is looked for.
	first = Max(first, ReduceMax(Where(NotEqual(y, y), none, ZerosLike(class)), -1))
	return []*Node{ConvertDType(first, dtypes.Float32), rank}
}

// file is the probe's state as one file.
func (p *Probe) file() stateFile { return stateFile{"probe.safetensors", "probe.", p.heads} }

// Parts copies the state of the probe, without the encoder, to the host. It is one file, whose
// arrays are named probe.heads.0.weight [classes, D] and probe.heads.0.bias [classes] for the first
// collected depth, with adam.m/, adam.v/ and adam.step/ before each name for the optimizer's.
func (p *Probe) Parts() (parts []Part, err error) {
	defer recovered(&err, "copying the probe")
	if p.lost != nil {
		return nil, fmt.Errorf("copying the probe: the state was lost before: %w", p.lost)
	}
	part, fetch, err := p.file().part(p.device)
	if err == nil {
		err = fetch()
	}
	if err != nil {
		return nil, fmt.Errorf("copying the probe: %w", err)
	}
	return []Part{part}, nil
}

// Load replaces the state by the part that `open` opens by name. If it cannot be read or does not
// fit, the probe is as it was, and the error wraps that of the reader.
func (p *Probe) Load(open func(part string) (io.ReadCloser, error)) (err error) {
	defer recovered(&err, "loading the probe")
	heads, err := p.file().load(p.device, open)
	if err != nil {
		return fmt.Errorf("loading the probe: %w", err)
	}
	old := p.heads
	p.heads, p.lost = heads, nil
	return old.free()
}
