package model

import (
	"errors"
	"fmt"
	"math"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/classify"
)

// Health shows the collapse of an encoder long before a probe does. All figures are by collected
// depth, as in Config.Depths, over some images. To compare steps of a run, measure the same images.
type Health struct {
	// Std is the standard deviation over the images of a pooled feature after LayerNorm, mean over
	// the features: 0.3 to 1 in a healthy run, and 0 if all images are alike. NaN if a feature is.
	Std []float64
	// Rank is the effective rank of those features (see classify.Spread), from 1 to the smaller of
	// images - 1 and width; 0 if all images are alike. NaN if a feature is.
	Rank []float64
	// RMS is the root mean square of the residual stream over images, tokens and features.
	RMS []float64
}

// Monitor measures the health of encoders of some sizes, with a program that is compiled once.
type Monitor struct{ *frozenEncoder }

// NewMonitor makes a monitor that runs `batch` images in a pass.
func NewMonitor(d *Device, cfg Config, batch int) (m *Monitor, err error) {
	defer recovered(&err, "making the monitor")
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r, err := newFrozenEncoder(d, cfg, batch)
	if err != nil {
		return nil, err
	}
	return &Monitor{r}, nil
}

// MeasureTeacher measures a learner's teacher on any number of images, bytes [n, S, S, 3], without
// a copy of the teacher. It must not run concurrently with a Step.
func (m *Monitor) MeasureTeacher(l *Learner, images []byte) (h Health, err error) {
	defer recovered(&err, "measuring")
	if err := m.canRead(l); err != nil {
		return h, fmt.Errorf("measuring: %w", err)
	}
	return m.measure(l.teacher, images)
}

// Batch is the number of images that a pass takes.
func (m *Monitor) Batch() int { return m.batch }

// TeacherFeatures are the means over the tokens of the deepest collected depth of a learner's
// teacher, [n, D], for n <= Batch images, bytes [n, S, S, 3]. It must not run concurrently with a
// Step.
func (m *Monitor) TeacherFeatures(l *Learner, images []byte) (features []float32, err error) {
	defer recovered(&err, "computing the teacher's features")
	if err := m.canRead(l); err != nil {
		return nil, fmt.Errorf("computing the teacher's features: %w", err)
	}
	pooled, _, err := m.pooledFeatures(l.teacher, images)
	if err != nil {
		return nil, fmt.Errorf("computing the teacher's features: %w", err)
	}
	stride := len(m.Depths) * m.Width
	for first := stride - m.Width; first < len(pooled); first += stride {
		features = append(features, pooled[first:first+m.Width]...)
	}
	return features, nil
}

// canRead checks that a learner has a state, on the monitor's device.
func (m *Monitor) canRead(l *Learner) error {
	if l.lost != nil {
		return fmt.Errorf("the state was lost before: %w", l.lost)
	}
	if l.device != m.device {
		return errors.New("the learner is on another device")
	}
	return nil
}

// measure runs the images batch by batch.
func (m *Monitor) measure(encoder []*tensors.Tensor, images []byte) (h Health, err error) {
	size := m.Image * m.Image * 3
	if len(images) == 0 || len(images)%size != 0 {
		return h, fieldError("Images", len(images), "must be the bytes of images of %d x %d x 3", m.Image, m.Image)
	}
	n, depths := len(images)/size, len(m.Depths)
	var features []float32 // [n, L, D]
	h.RMS = make([]float64, depths)
	for first := 0; first < n; first += m.batch {
		last := min(first+m.batch, n)
		pooled, squares, err := m.pooledFeatures(encoder, images[first*size:last*size])
		if err != nil {
			return Health{}, fmt.Errorf("measuring: %w", err)
		}
		features = append(features, pooled...)
		for i, s := range squares {
			h.RMS[i%depths] += float64(s) / float64(n)
		}
	}
	for i, square := range h.RMS {
		h.RMS[i] = math.Sqrt(square)
	}
	h.Std, h.Rank = classify.Spread(features, depths, m.Width)
	return h, nil
}

// pooledFeatures runs one pass of n images: pooled features [n, L, D] and mean squares [n, L].
func (m *Monitor) pooledFeatures(encoder []*tensors.Tensor, images []byte) (pooled, squares []float32, err error) {
	n, err := m.imageCount(images)
	if err != nil {
		return nil, nil, err
	}
	a, b, err := m.forward(encoder, images)
	if err != nil {
		return nil, nil, err
	}
	pooled, errA := tensors.CopyFlatData[float32](a)
	squares, errB := tensors.CopyFlatData[float32](b)
	if err := errors.Join(errA, errB, a.FinalizeAll(), b.FinalizeAll()); err != nil {
		return nil, nil, err
	}
	depths := len(m.Depths)
	return pooled[:n*depths*m.Width], squares[:n*depths], nil
}
