package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/predictions"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/job/teacher"
	"github.com/cijepa/cijepa/job/trainer"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/storage/classlist"
	"github.com/cijepa/cijepa/storage/shards"
)

// finish writes the teacher, its card, the predictions and, last, the result.
func (j *Job) finish(ctx context.Context, at position, s scores) error {
	j.live.Doing("writing the result")
	r := j.result(ctx, at.progress, s)
	if j.probed != nil {
		r.Teacher, r.Metrics.TeacherSHA256, r.PostTop1 = j.probed.said, j.probed.said.SHA256, nil
	} else {
		r.Pictures = j.writePictures(ctx, at, s.nearest)
		if err := j.writeTeacher(ctx, at.probes.teacher, &r); err != nil {
			return err
		}
	}
	if err := j.writePredictions(ctx, s, &r); err != nil {
		return err
	}
	j.journal.board.Finish(r.Metrics)
	// No finished run is lost for its newest metrics: storage has retried them for its whole
	// timeout.
	if err := j.journal.flush(ctx, j.run); err != nil && ctx.Err() == nil {
		j.log.Error("the newest metrics are lost", "error", err)
	}
	text, err := record.Seal(r)
	if err != nil {
		return err
	}
	if err := j.run.Finish(ctx, text); err != nil {
		return fmt.Errorf("committing the result: %w", err)
	}
	done := append(scoreAttrs(r.Metrics), "result", j.run.ResultKey(), "hours", r.Stats.MachineSeconds/3600)
	if r.Stats.Cost != nil {
		done = append(done, "cost", *r.Stats.Cost)
	}
	if r.Metrics.Verdict != "" {
		done = append(done, "verdict", r.Metrics.Verdict)
	}
	j.log.Info("done", done...)
	j.trainer.Done(trainer.Finished(r.Metrics))
	return nil
}

// scoreAttrs are the scores as a log line has them, or without any the loss.
func scoreAttrs(m record.Metrics) []any {
	if !m.Scored() {
		return []any{"loss", m.Loss}
	}
	all := []any{"top1", m.Top1, "standard_error", m.StandardError, "untrained_top1", m.UntrainedTop1}
	if m.KNNTop1 != nil {
		all = append(all, "knn_top1", *m.KNNTop1, "untrained_knn_top1", *m.UntrainedKNN)
	}
	return all
}

// writeTeacher writes the teacher and what others need to use it, and fills its checksum in.
func (j *Job) writeTeacher(ctx context.Context, encoder *model.Encoder, r *settings.Result) error {
	file, err := exported(encoder, map[string]string{"run": j.cfg.Run})
	if err != nil {
		return err
	}
	object, err := j.run.Put(ctx, teacher.File, file.Size, file.Write)
	if err != nil {
		return fmt.Errorf("writing the teacher: %w", err)
	}
	r.Metrics.TeacherSHA256 = object.SHA256
	config, err := teacher.Config(j.cfg.Model())
	if err != nil {
		return err
	}
	card, err := teacher.ResultCard(*r).Markdown()
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{teacher.ConfigFile: config, teacher.CardFile: card} {
		if _, err := j.run.Put(ctx, name, int64(len(text)), bytesPart(name, text).Write); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// writePredictions writes what the classifiers said of every validation image, and fills its
// checksum in.
func (j *Job) writePredictions(ctx context.Context, s scores, r *settings.Result) error {
	if len(s.Labels) == 0 {
		return nil // data without labels
	}
	file, err := s.Encode()
	if err != nil {
		return err
	}
	object, err := j.run.Put(ctx, predictions.File, int64(len(file)), bytesPart(predictions.File, file).Write)
	if err != nil {
		return fmt.Errorf("writing the predictions: %w", err)
	}
	r.Predictions = &record.Predictions{File: predictions.File, Size: object.Size, SHA256: object.SHA256}
	if j.probed != nil { // whose result lies above its folder
		r.Predictions.File = j.probed.name + "/" + predictions.File
	}
	return nil
}

// result fills result.json in, but for the checksums of other files.
func (j *Job) result(ctx context.Context, p *Progress, s scores) settings.Result {
	index := j.data.Index
	classes := sha256.Sum256([]byte(strings.Join(index.Classes, "\n") + "\n"))
	train, validation := index.Counts[machine.TrainSplit], index.Counts[machine.ValidationSplit]
	r := settings.Result{
		Version: record.Version, Run: j.cfg.Run, Preset: j.cfg.Preset, Recipe: j.cfg.Recipe, Versions: j.versions, Device: j.device.Description(),
		Data: record.Data{
			Fingerprint: j.data.Fingerprint(), Classes: len(index.Classes), ClassesSHA256: hex.EncodeToString(classes[:]),
			TrainSamples: train, ValidationSamples: validation, ClassList: classlist.Describe(index.Classes), Warnings: index.Warnings(),
		},
		PostTop1: postFigure(j.cfg.Preset, index.Classes, train, validation),
		Metrics: record.Metrics{
			Loss: p.Loss, Table: p.Table, Updates: p.Pretrained, PathwayCounts: p.Updates, Skipped: p.Skipped, StateSHA256: p.StateSHA256,
		},
		Stats: record.RunStats{
			Begun: j.begun, Ended: time.Now().UTC(), Environments: p.Environments, Fallbacks: p.Fallbacks, BadSamples: int64(len(p.Bad)), Alarms: p.Alarms.Count,
			PretrainSeconds: p.PretrainSeconds, PretrainDevice: p.PretrainDevice, ProbeSeconds: p.ProbeSeconds, ProbeDevice: p.ProbeDevice,
			ScoreSeconds: s.seconds, ScoreDevice: s.device,
			ImagesPerSecond: float64(p.Pretrained) * float64(j.cfg.Batch) / max(p.PretrainSeconds, 1e-9), DataWait: p.WaitSeconds / max(p.PretrainSeconds, 1e-9),
		},
	}
	if notes, err := j.data.Notes(ctx); err == nil {
		if j.cfg.Image < shards.ShortSide {
			notes.Small = 0 // as large as this run sees them
		}
		r.Data.SmallImages = notes.Small
		r.Data.Warnings = append(r.Data.Warnings, notes.Lines()...)
	} else {
		j.log.Warn("what was noted when the data was packed is not known", "error", err)
	}
	j.account(p)
	r.Stats.MFU, r.Stats.DeviceMemory = j.mfu(r.Stats.ImagesPerSecond), p.DeviceMemory
	r.Stats.MachineSeconds, r.Stats.Cost = p.MachineSeconds, known(p.Cost)
	r.Stats.Attempts = 1
	if attempts, err := history.ReadAttempts(ctx, j.bucket, j.folder); err == nil {
		r.Stats.Attempts, r.Stats.UpdatesLost, r.Stats.Killed = max(len(attempts), 1), history.Lost(attempts), history.KilledOf(attempts)
	} else {
		j.log.Warn("the attempts could not be counted", "error", err)
	}
	if !index.Unlabelled() {
		r.Metrics.Ridge = s.ridge
		score(&r.Metrics, s.Predictions)
	}
	return r
}

// score fills in what the validation split said.
func score(f *record.Metrics, p predictions.Predictions) {
	top := func(a classify.Answers, k int32) float64 { return 100 * float64(a.Top(k)) / float64(len(p.Labels)) }
	for i, d := range p.Depths {
		f.Depths = append(f.Depths, record.DepthMetrics{
			Depth: d, Top1: top(p.Probe[i], 1), Top5: top(p.Probe[i], 5), UntrainedTop1: top(p.UntrainedProbe[i], 1),
		})
	}
	deepest := f.Depths[len(f.Depths)-1]
	f.Top1, f.Top5, f.UntrainedTop1 = deepest.Top1, deepest.Top5, deepest.UntrainedTop1
	f.StandardError = record.StandardError(f.Top1, len(p.Labels))
	last := len(p.Depths) - 1
	f.GainError = pairedError(p.Probe[last], p.UntrainedProbe[last])
	if n := len(p.KNN); n > 0 {
		f.KNNTop1, f.UntrainedKNN = record.Finite(top(p.KNN[n-1], 1)), record.Finite(top(p.UntrainedKNN[n-1], 1))
		f.KNNGainError = pairedError(p.KNN[n-1], p.UntrainedKNN[n-1])
	}
	f.Verdict = f.Judge(len(p.Labels))
}

// pairedError compares the answers of two classifiers by image: see record.PairedError.
func pairedError(a, b classify.Answers) *float64 {
	var won, lost int
	for i, rank := range a.Ranks {
		switch other := b.Ranks[i]; {
		case rank == 0 && other != 0:
			won++
		case rank != 0 && other == 0:
			lost++
		}
	}
	return record.Finite(record.PairedError(won, lost, len(a.Ranks)))
}

// postFigure is the post's top-1 of a preset if the data has the classes and the counts of the
// post's ImageNet-100.
func postFigure(preset string, classes []string, train, validation int) *float64 {
	if classlist.Recognise(classes) != classlist.Post || train != 126689 || validation != 5000 {
		return nil
	}
	for _, p := range settings.Presets() {
		if p.Name == preset {
			return &p.PostTop1
		}
	}
	return nil
}
