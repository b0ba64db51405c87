package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// markdown writes the tables as text, and shows the pictures that lie beside it.
func (r *Report) markdown(w io.Writer, images []image) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# cI-JEPA runs\n\n%s, %s UTC: %d runs, %d finished, %d alarms.\n", r.Bucket, r.Read.Format("2006-01-02 15:04"), len(r.Runs), r.Finished(), r.AlarmCount())
	if r.TroubleCount() > 0 {
		b.WriteString("\n")
	}
	for _, u := range r.Unreadable {
		fmt.Fprintf(&b, "- could not be read: %s: %s\n", u.Run, u.Why)
	}
	for _, run := range r.Runs {
		for _, t := range run.Trouble {
			fmt.Fprintf(&b, "- could not be read in part: %s: %s\n", run.Name, t)
		}
	}

	b.WriteString("\n## The post's table, and ours\n\n")
	row(&b, "run", "depths", "epochs", "alpha", "beta", "rows", "post, %", "ours, %", "runs", "difference", "in words")
	row(&b, strings.Split(strings.Repeat("---,", 11), ",")[:11]...)
	for _, of := range r.Rows() {
		row(&b, of.Preset, of.Depths, strconv.Itoa(of.Epochs), of.Alpha, of.Beta, strconv.Itoa(of.Reference.Rows), digits(&of.PostTop1, 2),
			within(of.Mean, of.Error), strconv.Itoa(of.Runs), within(of.Difference, of.Noise), of.Verdict)
	}
	if sentences := r.Contrasts(); len(sentences) > 0 {
		b.WriteString("\n- " + strings.Join(sentences, "\n- ") + "\n")
	}

	b.WriteString("\n## All runs\n\n")
	row(&b, "run", "preset", "seed", "state", "top-1, %", "top-5, %", "untrained, %", "kNN, %", "images/s", "data wait, %", "attempts", "updates lost", "alarms")
	row(&b, strings.Split(strings.Repeat("---,", 13), ",")[:13]...)
	for _, run := range r.Runs {
		top := [5]*float64{}
		if run.Result != nil {
			f := &run.Result.Metrics
			top = [5]*float64{&f.Top1, &f.StandardError, &f.Top5, &f.UntrainedTop1, f.KNNTop1}
		}
		row(&b, run.Name, run.Preset, run.Setting("Seed"), run.State(), within(top[0], top[1]), digits(top[2], 2), digits(top[3], 2), digits(top[4], 2),
			digits(run.Speed(), 0), digits(run.Wait(), 1), strconv.Itoa(len(run.Attempts)), strconv.FormatInt(run.Lost(), 10), strconv.Itoa(len(run.Alarms)))
	}

	if differences := r.Differences(); len(differences) > 0 && len(r.Runs) > 1 {
		b.WriteString("\n## Settings in which the runs differ\n\n")
		head, line := []string{"run"}, []string{"---"}
		for _, d := range differences {
			head, line = append(head, d.Setting), append(line, "---")
		}
		row(&b, head...)
		row(&b, line...)
		for i, run := range r.Runs {
			cells := []string{run.Name}
			for _, d := range differences {
				cells = append(cells, d.Values[i])
			}
			row(&b, cells...)
		}
	}

	if r.AlarmCount() > 0 {
		b.WriteString("\n## Alarms\n\n")
		row(&b, "run", "epoch", "alarm", "what")
		row(&b, "---", "---", "---", "---")
		for _, run := range r.Runs {
			for _, a := range run.Alarms {
				row(&b, run.Name, digits(&a.Epoch, 1), a.Alarm, a.Text)
			}
		}
	}

	if len(images) > 0 {
		b.WriteString("\n## Charts\n\n")
	}
	for _, i := range images {
		fmt.Fprintf(&b, "![%s](%s)\n\n", strings.NewReplacer("[", "(", "]", ")", "\n", " ").Replace(i.alt), i.name)
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

// row writes a line of a table.
func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString("| " + strings.NewReplacer("|", `\|`, "\n", " ").Replace(c) + " ")
	}
	b.WriteString("|\n")
}

func digits(v *float64, n int) string {
	if v == nil {
		return "–"
	}
	return strconv.FormatFloat(*v, 'f', n, 64)
}

// within writes a figure and its standard error.
func within(v, noise *float64) string {
	if v == nil || noise == nil {
		return digits(v, 2)
	}
	return digits(v, 2) + " ± " + digits(noise, 2)
}
