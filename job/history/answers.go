package history

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/job/predictions"
	"github.com/cijepa/cijepa/storage"
)

// Answers are what the linear probe on the deepest depth of a teacher says of the validation
// images.
type Answers struct {
	Right  []bool   // by image, in the order of the split
	Labels [32]byte // checksum of the labels: another one means other images
}

// source is a finished run or probe that may have predictions.
type source struct {
	folder string // of its result: "runs/<run>/" or "runs/<run>/probes/"
	file   string // of its predictions, below the folder
	result *Result
	into   **Answers
	err    error       // of reading them
	fail   func(error) // reports it
}

// ReadAnswers fills in the answers of finished runs and probes, where two of them have the same
// data: else there is nothing to compare. Predictions that cannot be read are a problem of their
// run, or for a probe one of those returned, and nothing else of it is lost. The error is of the
// bucket as a whole.
func ReadAnswers(ctx context.Context, bucket *storage.Bucket, runs []*Run, probes []Probe) (problems []Unreadable, err error) {
	var all []*source
	for _, r := range runs {
		all = append(all, &source{
			folder: "runs/" + r.Name + "/", file: predictions.File, result: r.Result, into: &r.Answers,
			fail: func(err error) { r.Problems = append(r.Problems, err.Error()) },
		})
	}
	for i := range probes {
		p := &probes[i]
		all = append(all, &source{
			folder: "runs/" + p.Run + "/probes/", file: p.Name + "/" + predictions.File, result: &p.Result, into: &p.Answers,
			fail: func(err error) {
				problems = append(problems, Unreadable{p.Run + ", predictions of the probe " + p.Name, err.Error()})
			},
		})
	}
	byData := map[string][]*source{}
	for _, s := range all {
		if s.result != nil && s.result.Predictions != nil {
			data := s.result.Data.Fingerprint
			byData[data] = append(byData[data], s)
		}
	}
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(maxReaders)
	for _, of := range byData {
		if len(of) < 2 {
			continue
		}
		for _, s := range of {
			group.Go(func() error {
				*s.into, s.err = s.read(groupContext, bucket)
				if errors.Is(s.err, storage.ErrUnreachable) {
					return s.err
				}
				return groupContext.Err()
			})
		}
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	for _, s := range all {
		if s.err != nil {
			s.fail(s.err)
		}
	}
	return problems, nil
}

// read reads the predictions that a result names.
func (s *source) read(ctx context.Context, bucket *storage.Bucket) (*Answers, error) {
	said, key := s.result.Predictions, s.folder+s.file
	if said.File != s.file || said.Size < 1 || said.Size > maxPredictions {
		return nil, fmt.Errorf("%s is not read: the result names %.80q of %d bytes", key, said.File, said.Size)
	}
	shape := predictions.Shape{Classes: s.result.Data.Classes, Images: s.result.Data.ValidationSamples}
	for _, d := range s.result.Metrics.Depths {
		shape.Depths = append(shape.Depths, d.Depth)
	}
	content, err := bucket.Read(ctx, storage.Object{Key: key, Size: said.Size, SHA256: said.SHA256})
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%s is not there, and the result names it", key)
	}
	if err != nil {
		return nil, err
	}
	object, err := io.ReadAll(content)
	if err := errors.Join(err, content.Close()); err != nil {
		return nil, err
	}
	p, err := predictions.Decode(object, shape)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", key, err)
	}
	deepest := p.Probe[len(p.Probe)-1]
	if top1 := 100 * float64(deepest.Top(1)) / float64(len(p.Labels)); top1 != s.result.Metrics.Top1 {
		return nil, fmt.Errorf("%s is of another run: its top-1 is %.2f %%, and that of the result %.2f", key, top1, s.result.Metrics.Top1)
	}
	a := &Answers{Right: make([]bool, len(p.Labels))}
	sum := sha256.New()
	for i, label := range p.Labels {
		a.Right[i] = deepest.Ranks[i] == 0
		_ = binary.Write(sum, binary.LittleEndian, label) // a hash takes everything
	}
	sum.Sum(a.Labels[:0])
	return a, nil
}
