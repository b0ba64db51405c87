package job

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/pictures"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/classify"
)

// writePictures draws a few images as the encoders see them, and stores the drawings. They are a
// function of both encoders and the data, so every attempt that gets there draws the same. A run
// does not fail for its pictures: after an error it has none.
func (j *Job) writePictures(ctx context.Context, at position, near [][]classify.Neighbour) *record.Pictures {
	if !j.cfg.Pictures {
		return nil
	}
	begin := time.Now()
	j.live.Doing("drawing pictures")
	said, drawn, err := j.drawPictures(ctx, at.probes.teacher, near)
	for _, d := range drawn {
		if err == nil {
			_, err = j.run.Put(ctx, d.File, int64(len(d.JPEG)), bytesPart(d.File, d.JPEG).Write)
		}
	}
	if err != nil {
		j.log.Warn("the run has no pictures", "error", err)
		return nil
	}
	size := 0
	for i, words := range []string{said.ComponentsAlt(), said.NeighboursAlt()}[:len(drawn)] {
		d := drawn[i]
		j.journal.board.Picture(d.File, words, d.Width, d.Height, d.JPEG)
		size += len(d.JPEG)
	}
	j.log.Info("pictures", "seconds", time.Since(begin).Seconds(), "bytes", size)
	return said
}

// drawPictures makes the pictures.
func (j *Job) drawPictures(ctx context.Context, teacher *model.Encoder, near [][]classify.Neighbour) (
	_ *record.Pictures, _ []pictures.Drawing, err error,
) {
	defer panicked(&err)
	images, said, err := j.picturedImages(ctx)
	if err != nil {
		return nil, nil, err
	}
	var drawn []pictures.Drawing
	err = machine.Interruptible(ctx, func() (err error) {
		defer panicked(&err)
		depths, err := j.components(teacher, images)
		if err != nil {
			return err
		}
		d, err := pictures.Components(images, depths)
		drawn = append(drawn, d)
		said.Components = d.Sheet
		for _, of := range depths {
			said.Depths = append(said.Depths, record.PicturedDepth{Depth: of.Depth, Teacher: of.Teacher.Components, Untrained: of.Untrained.Components})
		}
		return err
	})
	if err != nil {
		return nil, nil, err // an abandoned drawing may still write to the rest
	}
	j.live.Moved()
	if len(near) == 0 || len(near[0]) == 0 {
		return said, drawn, nil
	}
	d, err := j.drawNeighbours(ctx, images, near, said)
	return said, append(drawn, d), err
}

// panicked makes an error of a panic. Every goroutine that draws defers it: libraries of
// mathematics panic, and a run that has finished must not be lost for its pictures.
func panicked(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("drawing: %v", p)
	}
}

// picturedImages reads the images that are shown: of the validation split, or of data without one
// the train split.
func (j *Job) picturedImages(ctx context.Context) (pictures.Images, *record.Pictures, error) {
	said := &record.Pictures{Split: j.heldOutSplit()}
	loader, _, err := j.evaluationLoader(said.Split)
	if err != nil {
		return pictures.Images{}, nil, err
	}
	numbers := pictures.Choose(j.data.Index.Counts[said.Split])
	bytes, labels, err := loader.Samples(ctx, numbers)
	for i, n := range numbers {
		if err == nil {
			said.Images = append(said.Images, record.PicturedImage{Sample: n, Class: j.class(labels[i])})
		}
	}
	return pictures.Images{Side: j.cfg.Image, Pixels: bytes}, said, err
}

// class is the name of a label; empty without one.
func (j *Job) class(label int32) string {
	if classes := j.data.Index.Classes; 0 <= label && int(label) < len(classes) {
		return classes[label]
	}
	return ""
}

// components projects the tokens of the teacher and of the untrained encoder at the depths that are
// shown.
func (j *Job) components(teacher *model.Encoder, images pictures.Images) ([]pictures.Depth, error) {
	shown := pictures.Depths(j.cfg.Depths)
	reader, err := model.NewTokenReader(j.device, j.cfg.Model(), shown, images.Len())
	if err != nil {
		return nil, &machine.DeviceError{Err: err}
	}
	defer reader.Close()
	untrained, err := model.InitialEncoder(j.cfg.Model(), j.cfg.Seed)
	if err != nil {
		return nil, err
	}
	fields := pictures.NewFields(images, j.cfg.Image/j.cfg.Patch)
	depths := make([]pictures.Depth, len(shown))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, encoder := range []*model.Encoder{teacher, untrained} {
		tokens, err := reader.Tokens(encoder, images.Pixels) // [L, B, N, D]
		if err != nil {
			return nil, &machine.DeviceError{Err: err}
		}
		each := len(tokens) / len(shown)
		for i := range depths {
			depths[i].Depth = shown[i]
			to := &depths[i].Teacher
			if encoder == untrained {
				to = &depths[i].Untrained
			}
			group.Go(func() (err error) {
				defer panicked(&err)
				*to, err = pictures.Project(tokens[i*each:(i+1)*each], j.cfg.Width, fields)
				j.live.Moved()
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var trained, before []*pictures.Maps
	for i := range depths {
		trained, before = append(trained, &depths[i].Teacher), append(before, &depths[i].Untrained)
	}
	pictures.Align(trained)
	pictures.Align(before)
	return depths, nil
}

// nearest finds the training images that are nearest to the images that are shown, by the features
// of the kNN: of its bank [n, D] and of the whole validation split.
func (j *Job) nearest(bank, validation []float32) [][]classify.Neighbour {
	var queries []float32
	for _, n := range pictures.Choose(len(validation) / j.cfg.Width) {
		queries = append(queries, validation[n*j.cfg.Width:(n+1)*j.cfg.Width]...)
	}
	return classify.Neighbours(bank, queries, j.cfg.Width, pictures.Nearest)
}

// drawNeighbours draws the images beside their neighbours, whose samples are numbered as in the
// bank.
func (j *Job) drawNeighbours(ctx context.Context, images pictures.Images, near [][]classify.Neighbour, said *record.Pictures) (pictures.Drawing, error) {
	loader, share, err := j.evaluationLoader(machine.TrainSplit)
	if err != nil {
		return pictures.Drawing{}, err
	}
	var numbers []int
	for _, row := range near {
		for _, n := range row {
			numbers = append(numbers, n.Sample)
		}
	}
	bytes, labels, err := loader.Samples(ctx, numbers)
	if err != nil {
		return pictures.Drawing{}, err
	}
	if share != nil {
		numbers = share.Outside(numbers)
	}
	var marks []pictures.Mark
	for i, row := range near {
		for _, n := range row {
			at := len(marks)
			neighbour := record.Neighbour{Sample: numbers[at], Class: j.class(labels[at]), Similarity: math.Round(n.Similarity*1e4) / 1e4}
			marks = append(marks, mark(said.Images[i].Agrees(neighbour)))
			said.Images[i].Neighbours = append(said.Images[i].Neighbours, neighbour)
		}
	}
	d, err := pictures.Neighbours(images, pictures.Images{Side: j.cfg.Image, Pixels: bytes}, marks)
	said.Neighbours = &d.Sheet
	return d, err
}

func mark(same, known bool) pictures.Mark {
	switch {
	case !known:
		return pictures.Unknown
	case same:
		return pictures.Agrees
	}
	return pictures.Differs
}
