package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cijepa/cijepa/job/record"
)

// writeMarkdown writes the tables as text, with the pictures that lie beside it.
func (r *Report) writeMarkdown(w io.Writer, images []image) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# cI-JEPA runs\n\n%s, %s UTC: %s, %d finished, %s.\n", escaped(r.Bucket), r.Read.Format("2006-01-02 15:04"),
		plural(len(r.Runs), "run", "runs"), r.Finished(), plural(r.Alarms(), "alarm", "alarms"))
	if r.Problems() > 0 {
		b.WriteString("\n")
	}
	for _, u := range r.Unreadable {
		fmt.Fprintf(&b, "- could not be read: %s: %s\n", escaped(u.Run), escaped(u.Why))
	}
	for _, run := range r.Runs {
		for _, p := range run.Problems {
			fmt.Fprintf(&b, "- could not be read in part: %s: %s\n", escaped(run.Name), escaped(p))
		}
	}

	r.writeAnswers(&b)
	r.writeRuns(&b)
	if len(r.Runs) > 1 {
		r.writeDifferences(&b)
		r.writeSeeds(&b)
		r.writePairs(&b)
	}
	r.writeTransfer(&b)
	if r.InPostsTable() {
		r.writePost(&b)
	}
	r.writeAlarms(&b)
	r.writeHandOn(&b)
	if len(images) > 0 {
		b.WriteString("\n## Charts\n\n")
	}
	for _, i := range images {
		fmt.Fprintf(&b, "![%s](%s)\n\n", escaped(i.alt), i.name)
	}
	if !r.InPostsTable() {
		r.writePost(&b)
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

// writeRuns writes the figures of all runs.
func (r *Report) writeRuns(b *strings.Builder) {
	var rows [][]string
	for _, run := range r.Runs {
		var top1, standardError, top5, untrained, knn, untrainedKNN *float64
		if run.Scored() {
			m := &run.Result.Metrics
			top1, standardError, top5, untrained, knn, untrainedKNN = &m.Top1, &m.StandardError, &m.Top5, &m.UntrainedTop1, m.KNNTop1, m.UntrainedKNN
		}
		rows = append(rows, []string{run.Name, run.Preset, run.Setting("Seed"), run.State(), plusMinus(top1, standardError),
			fixed(top5, 2), fixed(untrained, 2), fixed(knn, 2), fixed(untrainedKNN, 2), fixed(run.ImagesPerSecond(), 0), fixed(run.DataWait(), 1),
			strconv.Itoa(run.Starts()), lost(run), strconv.Itoa(len(run.Alarms))})
	}
	writeTable(b, "All runs", rows, "run", "preset", "seed", "state", "top-1, %", "top-5, %", "untrained, %", "kNN, %", "untrained kNN, %",
		"images/s", "data wait, %", "attempts", "updates lost", "alarms")
}

// writeDifferences writes the settings in which the runs differ.
func (r *Report) writeDifferences(b *strings.Builder) {
	differences := r.Differences()
	if len(differences) == 0 {
		return
	}
	head, rows := []string{"run"}, make([][]string, len(r.Runs))
	for i, run := range r.Runs {
		rows[i] = []string{run.Name}
	}
	for _, d := range differences {
		head = append(head, d.Setting)
		for i, value := range d.Values {
			rows[i] = append(rows[i], value)
		}
	}
	writeTable(b, "Settings in which the runs differ", rows, head...)
}

// writeAlarms writes the alarms of all runs.
func (r *Report) writeAlarms(b *strings.Builder) {
	var rows [][]string
	for _, run := range r.Runs {
		for _, a := range run.Alarms {
			rows = append(rows, []string{run.Name, fixed(&a.Epoch, 1), a.Alarm, a.Text})
		}
	}
	writeTable(b, "Alarms", rows, "run", "epoch", "alarm", "what")
}

// writeHandOn writes the commands that hand teachers on.
func (r *Report) writeHandOn(b *strings.Builder) {
	if r.Finished() == 0 {
		return
	}
	b.WriteString("\n## A teacher to the Hugging Face hub\n\n")
	for _, run := range r.Runs {
		if command := r.HandOn(run); command != "" {
			b.WriteString("    " + command + "\n")
		}
	}
}

// writeAnswers writes what the runs say in short, and how recipes compare.
func (r *Report) writeAnswers(b *strings.Builder) {
	for _, a := range r.Answers() {
		b.WriteString("\n" + escaped(strings.Join(a.sentences(), " ")) + "\n")
	}
	if sentences := r.Contrasts(); len(sentences) > 0 {
		b.WriteString("\n")
		for _, sentence := range sentences {
			b.WriteString("- " + escaped(sentence) + "\n")
		}
	}
	if sentence := r.WithoutResult(); sentence != "" {
		b.WriteString("\n" + escaped(sentence) + "\n")
	}
}

// writeSeeds writes the recipes with their seeds.
func (r *Report) writeSeeds(b *strings.Builder) {
	var rows [][]string
	for _, s := range r.Seeds() {
		rows = append(rows, []string{s.Recipe, s.Alpha, s.Beta, strconv.Itoa(s.Runs), s.Seeds, plusMinus(s.Mean, s.Error), fixed(s.Spread, 2), s.Needed, fixed(s.Cost, 2)})
	}
	writeTable(b, "Recipes and their seeds", rows, "recipe", "alpha", "beta", "seeds", "which", "top-1, %", "spread", "seeds for 1 point", "cost")
	if len(rows) > 0 {
		b.WriteString("\n" + seedsNote + "\n")
	}
}

// writePairs writes any two runs on the same images.
func (r *Report) writePairs(b *strings.Builder) {
	var rows [][]string
	for _, p := range r.ShownPairs() {
		points, errors, percent := p.Points(), p.Errors(), p.Percent()
		rows = append(rows, []string{p.First, p.Second, plusMinus(&points, &errors[0]), p.Interval(), fixed(&percent, 1), p.P(), fixed(&errors[1], 2)})
	}
	writeTable(b, "Any two runs on the same images", rows, "better", "than", "by, points", "95 % interval", "disagree, %", "McNemar's p", "unpaired error")
	if n := r.HiddenPairs(); n > 0 {
		fmt.Fprintf(b, "\n%d more are in pairs.csv.\n", n)
	}
}

// writeTransfer writes teachers by data.
func (r *Report) writeTransfer(b *strings.Builder) {
	t := r.Transfer()
	if t == nil {
		return
	}
	var rows [][]string
	for _, row := range t.Rows {
		cells := []string{row.Teacher}
		for _, c := range row.Cells {
			if c == nil {
				cells = append(cells, "–")
				continue
			}
			cells = append(cells, plusMinus(&c.Top1, &c.Error)+", untrained "+fixed(&c.Untrained, 2))
		}
		rows = append(rows, cells)
	}
	writeTable(b, "Teachers on other data", rows, append([]string{"teacher"}, t.Data...)...)
}

// writePost writes the post's table, if a run can stand in it.
func (r *Report) writePost(b *strings.Builder) {
	var rows [][]string
	for _, row := range r.PostRows() {
		of := row.Recipe.Setting
		rows = append(rows, []string{row.Preset, of("Depths"), of("Epochs"), of("AllToLastWeight"), of("LastToLastWeight"), of("IntermediateRows"),
			fixed(&row.PostTop1, 2), plusMinus(row.Mean, row.Error), strconv.Itoa(row.Runs), plusMinus(row.Difference, row.Noise), row.Verdict})
	}
	writeTable(b, "The post's table, and ours", rows, "run", "depths", "epochs", "alpha", "beta", "rows", "post, %", "ours, %", "runs", "difference", "in words")
}

// writeTable writes a table below its title; nothing without rows.
func writeTable(b *strings.Builder, title string, rows [][]string, head ...string) {
	if len(rows) == 0 {
		return
	}
	b.WriteString("\n## " + title + "\n\n")
	writeRow(b, head)
	b.WriteString(strings.Repeat("| --- ", len(head)) + "|\n")
	for _, row := range rows {
		writeRow(b, row)
	}
}

func writeRow(b *strings.Builder, cells []string) {
	for _, c := range cells {
		b.WriteString("| " + escaped(c) + " ")
	}
	b.WriteString("|\n")
}

// fixed writes a value with n digits after the point.
func fixed(v *float64, n int) string {
	if v == nil {
		return "–"
	}
	return strconv.FormatFloat(*v, 'f', n, 64)
}

// plusMinus writes a value and its standard error.
func plusMinus(v, noise *float64) string {
	if v == nil || noise == nil {
		return fixed(v, 2)
	}
	return fixed(v, 2) + " ± " + fixed(noise, 2)
}

// escaped writes a text from a bucket so that it is no markup, in one line.
func escaped(text string) string {
	return markup.Replace(record.Printable(text))
}

// markup are the characters that begin something in Markdown or HTML within a line. An underscore
// within a word begins nothing.
var markup = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "[", "\\[", "]", "\\]", "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", "\\|",
	" _", " \\_", "~", "\\~", "!", "\\!")
