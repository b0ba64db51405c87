package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// File is one file of a report.
type File struct {
	Name string
	Data []byte
}

// Files are the whole report: report.html, report.md, runs.csv and the charts as PNG.
func (r *Report) Files() ([]File, error) {
	var files []File
	add := func(name string, write func(io.Writer) error) error {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		files = append(files, File{name, b.Bytes()})
		return nil
	}
	if err := add("report.html", r.HTML); err != nil {
		return nil, err
	}
	if err := add("report.md", r.Markdown); err != nil {
		return nil, err
	}
	if err := add("runs.csv", r.CSV); err != nil {
		return nil, err
	}
	for name, c := range map[string]chart{"profile.png": r.profiles(), "loss.png": r.losses(), "online.png": r.onlines(), "throughput.png": r.throughputs()} {
		if !c.drawable() {
			continue
		}
		if err := add(name, c.PNG); err != nil {
			return nil, err
		}
	}
	drawn := map[string]bool{}
	for _, run := range r.Runs { // one table for each preset: that of its first finished run
		h := run.table()
		if h == nil || run.Result == nil || drawn[run.Preset] {
			continue
		}
		drawn[run.Preset] = true
		if err := add("table-"+run.Name+".png", func(w io.Writer) error { return h.PNG(w, run.Table(), run.Name) }); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(files[3:], func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// Markdown writes the tables as text.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# cI-JEPA runs\n\n%s %s UTC: %d runs, %d finished.\n\n", r.Bucket, r.Read.Format("2006-01-02 15:04"), len(r.Runs), r.Finished())
	for _, u := range r.Unreadable {
		fmt.Fprintf(&b, "- could not be read: %s: %s\n", u.Run, u.Why)
	}
	for _, run := range r.Runs {
		for _, t := range run.Trouble {
			fmt.Fprintf(&b, "- could not be read in part: %s: %s\n", run.Name, t)
		}
	}
	b.WriteString("\n| run | depths | epochs | alpha | beta | rows | post, % | ours, % | ± | runs | difference | |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range r.Rows() {
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %d | %.2f | %s | %s | %d | %s | %s |\n", row.Preset, row.Depths, row.Epochs, row.Alpha, row.Beta,
			row.Reference.Rows, row.PostTop1, digits(row.Mean, 2), digits(row.Error, 2), row.Runs, digits(row.Difference, 2), row.Verdict)
	}
	b.WriteString("\n| run | preset | seed | state | top-1, % | ± | top-5, % | untrained, % | kNN, % | images/s | attempts | updates lost | alarms |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, run := range r.Runs {
		top := [5]*float64{}
		if run.Result != nil {
			f := &run.Result.Figures
			top = [5]*float64{&f.Top1, &f.StandardError, &f.Top5, &f.UntrainedTop1, f.KNNTop1}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %d | %d | %d |\n", run.Name, run.Preset, run.Setting("Seed"), run.State(),
			digits(top[0], 2), digits(top[1], 2), digits(top[2], 2), digits(top[3], 2), digits(top[4], 2), digits(run.Speed(), 0), len(run.Attempts), run.Lost(), len(run.Alarms))
	}
	if sentences := r.Contrasts(); len(sentences) > 0 {
		b.WriteString("\n- " + strings.Join(sentences, "\n- ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func digits(v *float64, n int) string {
	if v == nil {
		return "–"
	}
	return strconv.FormatFloat(*v, 'f', n, 64)
}

// CSV writes a line for each run, with every setting, for other programs. What a run does not have is empty.
func (r *Report) CSV(w io.Writer) error {
	settings := map[string]bool{}
	for _, run := range r.Runs {
		for name := range run.Begun.Recipe {
			settings[name] = true
		}
	}
	var names []string
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	out := csv.NewWriter(w)
	head := []string{"run", "preset", "state", "top1", "top1_standard_error", "top5", "untrained_top1", "knn_top1", "post_top1", "updates", "images_per_second", "data_wait",
		"pretrain_seconds", "probe_seconds", "attempts", "updates_lost", "skipped_updates", "bad_samples", "alarms", "device", "commit", "data_fingerprint", "teacher_sha256", "state_sha256"}
	rows := [][]string{append(head, names...)}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, run := range r.Runs {
		line := make([]string, len(head))
		line[0], line[1], line[2] = run.Name, run.Preset, run.State()
		if run.Result != nil {
			f, c := run.Result.Figures, run.Result.Course
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
