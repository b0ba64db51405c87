package job

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// Result is result.json, the last write of a run. Figures that a preemption may not change stand in Figures; what it
// may, in Course.
type Result struct {
	Version  int      `json:"version"`
	Run      string   `json:"run"`
	Preset   string   `json:"preset"`
	Recipe   Recipe   `json:"recipe"`
	Data     Data     `json:"data"`
	Figures  Figures  `json:"figures"`
	PostTop1 *float64 `json:"post_top1"` // the post's figure for the preset, when the data is what the post used
	Course   Course   `json:"course"`
	Versions Versions `json:"versions"`
	Device   string   `json:"device"`
}

// Data says on what a run was computed.
type Data struct {
	Fingerprint       string `json:"fingerprint"`        // sha256 of index.json
	Classes           int    `json:"classes"`            //
	ClassesSHA256     string `json:"classes_sha256"`     // of the class names in label order, each with a newline
	TrainSamples      int    `json:"train_samples"`      //
	ValidationSamples int    `json:"validation_samples"` //
}

// Figures are what a run found, in percent where not said otherwise.
type Figures struct {
	Top1          float64       `json:"top1"` // linear probe on the deepest depth of the frozen teacher
	Top5          float64       `json:"top5"`
	StandardError float64       `json:"top1_standard_error"` // of a share of the validation samples
	UntrainedTop1 float64       `json:"untrained_top1"`      // the same probe on the encoder before its first update
	KNNTop1       *float64      `json:"knn_top1"`
	UntrainedKNN  *float64      `json:"untrained_knn_top1"`
	Depths        []DepthFigure `json:"depths"`
	Loss          *float64      `json:"loss"` // of the last update; the target moves, so it ranks nothing
	Table         [][]*float64  `json:"table"`
	Updates       int64         `json:"updates"`
	PathwayCounts []int64       `json:"pathway_updates"`
	Skipped       int64         `json:"skipped_updates"`
	TeacherSHA256 string        `json:"teacher_sha256"` // of teacher.safetensors
	StateSHA256   string        `json:"state_sha256"`   // of all weights, moments and counts after the last update
}

// DepthFigure is the probe of one collected depth.
type DepthFigure struct {
	Depth         int     `json:"depth"`
	Top1          float64 `json:"top1"`
	Top5          float64 `json:"top5"`
	UntrainedTop1 float64 `json:"untrained_top1"`
}

// Course is how the run went.
type Course struct {
	Begun           time.Time `json:"begun"`
	Ended           time.Time `json:"ended"`
	Environments    []string  `json:"environments"` // what computed it; only a run with one is exact to the bit
	Attempts        int       `json:"attempts"`     // starts of the program, this one among them
	UpdatesLost     int64     `json:"updates_lost"` // computed again after a stop or kill, as far as the metrics tell
	Fallbacks       int       `json:"damaged_checkpoints"`
	BadSamples      int64     `json:"bad_samples"`      // undecodable images that one attempt met, at most
	PretrainSeconds float64   `json:"pretrain_seconds"` // of computing that counted
	ProbeSeconds    float64   `json:"probe_seconds"`
	ImagesPerSecond float64   `json:"images_per_second"` // of pretraining
	DataWait        float64   `json:"data_wait"`         // share of pretraining spent waiting for images
}

// finish writes the teacher, its card and, last, the result.
func (j *Job) finish(ctx context.Context, at position, s scores) error {
	index := j.data.Index
	train, validation := index.Counts[trainSplit], index.Counts[validationSplit]
	p := at.progress
	r := Result{
		Version: recordVersion, Run: j.cfg.Run, Preset: j.cfg.Preset, Recipe: j.cfg.Recipe, Versions: j.versions, Device: j.device.Description(),
		Data:     Data{j.data.Fingerprint(), len(index.Classes), hashLines(index.Classes), train, validation},
		PostTop1: postFigure(j.cfg.Preset, len(index.Classes), train, validation),
		Figures: Figures{
			Loss: p.Loss, Table: p.Table, Updates: p.Pretrained, PathwayCounts: p.Updates, Skipped: p.Skipped, StateSHA256: p.StateSHA256,
		},
		Course: Course{
			Begun: j.begun, Ended: time.Now().UTC(), Environments: p.Environments, Fallbacks: p.Fallbacks, BadSamples: p.Bad, PretrainSeconds: p.PretrainSeconds, ProbeSeconds: p.ProbeSeconds,
			ImagesPerSecond: float64(p.Pretrained) * float64(j.cfg.Batch) / max(p.PretrainSeconds, 1e-9), DataWait: p.WaitSeconds / max(p.PretrainSeconds, 1e-9),
		},
	}
	attempts, lost, err := attemptsMade(ctx, j.bucket, j.key("metrics/"), j.log)
	if err != nil {
		j.log.Warn("the attempts could not be counted", "error", err)
	}
	r.Course.Attempts, r.Course.UpdatesLost = max(attempts, 1), lost
	r.Figures.score(j.cfg.Depths, s)

	teacher, err := exported(at.probes.teacher, map[string]string{"run": j.cfg.Run})
	if err != nil {
		return err
	}
	object, err := j.run.Put(ctx, teacherPart, teacher.Size, teacher.Write)
	if err != nil {
		return fmt.Errorf("writing the teacher: %w", err)
	}
	r.Figures.TeacherSHA256 = object.SHA256
	var card bytes.Buffer
	if err := cardTemplate.Execute(&card, r); err != nil {
		return err
	}
	if _, err := j.run.Put(ctx, "README.md", int64(card.Len()), bytesPart("", card.Bytes()).Write); err != nil {
		return fmt.Errorf("writing the card: %w", err)
	}
	if err := j.journal.flush(ctx, j.run); err != nil {
		return fmt.Errorf("writing the metrics: %w", err)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := j.run.Finish(ctx, append(text, '\n')); err != nil {
		return fmt.Errorf("committing the result: %w", err)
	}
	j.log.Info("done", "top1", short(r.Figures.Top1), "standard_error", short(r.Figures.StandardError), "untrained_top1", short(r.Figures.UntrainedTop1),
		"result", j.key("result.json"))
	return nil
}

// score fills in what the validation split said.
func (f *Figures) score(depths DepthSet, s scores) {
	percent := func(count int) float64 { return 100 * float64(count) / float64(s.trained.N) }
	for i, d := range depths {
		f.Depths = append(f.Depths, DepthFigure{d, percent(s.trained.Top1[i]), percent(s.trained.Top5[i]), percent(s.untrained.Top1[i])})
	}
	deepest := f.Depths[len(f.Depths)-1]
	f.Top1, f.Top5, f.UntrainedTop1 = deepest.Top1, deepest.Top5, deepest.UntrainedTop1
	share := f.Top1 / 100
	f.StandardError = 100 * math.Sqrt(share*(1-share)/float64(s.trained.N))
	if s.neighbours >= 0 {
		f.KNNTop1, f.UntrainedKNN = finite(percent(s.neighbours)), finite(percent(s.untrainedNeighbours))
	}
}

// postFigure is the post's top-1 of a preset, when the data has the sizes of the post's ImageNet-100.
func postFigure(preset string, classes, train, validation int) *float64 {
	if classes != 100 || train != 126689 || validation != 5000 {
		return nil
	}
	for _, p := range Presets() {
		if p.Name == preset {
			return &p.PostTop1
		}
	}
	return nil
}

func hashLines(lines []string) string {
	h := sha256.Sum256([]byte(strings.Join(lines, "\n") + "\n"))
	return hex.EncodeToString(h[:])
}
