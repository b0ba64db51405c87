package report

import (
	"encoding/csv"
	"io"
	"maps"
	"slices"
	"strconv"
)

// CSV writes a line for each run, with every setting, for other programs. What a run does not have is empty.
func (r *Report) CSV(w io.Writer) error {
	settings := map[string]bool{}
	for _, run := range r.Runs {
		for name := range run.Begun.Recipe {
			settings[name] = true
		}
	}
	names := slices.Sorted(maps.Keys(settings))
	out := csv.NewWriter(w)
	head := []string{"run", "preset", "state", "top1", "top1_standard_error", "top5", "untrained_top1", "knn_top1", "post_top1", "updates", "images_per_second", "data_wait",
		"pretrain_seconds", "probe_seconds", "attempts", "updates_lost", "skipped_updates", "bad_samples", "alarms", "device", "commit", "data_fingerprint", "teacher_sha256", "state_sha256"}
	rows := [][]string{append(head, names...)}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, run := range r.Runs {
		line := make([]string, len(head))
		line[0], line[1], line[2] = run.Name, run.Preset, run.State()
		if run.Result != nil {
			f, c := run.Result.Metrics, run.Result.Stats
			line[3], line[4], line[5], line[6] = number(f.Top1), number(f.StandardError), number(f.Top5), number(f.UntrainedTop1)
			if f.KNNTop1 != nil {
				line[7] = number(*f.KNNTop1)
			}
			if run.Result.PostTop1 != nil {
				line[8] = number(*run.Result.PostTop1)
			}
			line[9], line[10], line[11] = strconv.FormatInt(f.Updates, 10), number(c.ImagesPerSecond), number(c.DataWait)
			line[12], line[13], line[16], line[17] = number(c.PretrainSeconds), number(c.ProbeSeconds), strconv.FormatInt(f.Skipped, 10), strconv.FormatInt(c.BadSamples, 10)
			line[19], line[22], line[23] = run.Result.Device, f.TeacherSHA256, f.StateSHA256
		}
		line[14], line[15], line[18] = strconv.Itoa(len(run.Attempts)), strconv.FormatInt(run.Lost(), 10), strconv.Itoa(len(run.Alarms))
		line[20], line[21] = run.Begun.Versions.Commit, run.Begun.Fingerprint
		for _, name := range names {
			line = append(line, run.Setting(name))
		}
		rows = append(rows, line)
	}
	return out.WriteAll(rows)
}
