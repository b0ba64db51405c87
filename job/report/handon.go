package report

import (
	"regexp"
	"strings"

	"github.com/cijepa/cijepa/job/history"
)

// plainName matches names that a shell takes as they are, as every run's is.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// HandOn is the command that puts the teacher of a finished run on the Hugging Face hub; empty for
// any other run, and for a folder whose name no run has.
func (r *Report) HandOn(run *history.Run) string {
	if run.Result == nil || !plainName.MatchString(run.Name) {
		return ""
	}
	command := "cijepa export runs/" + run.Name + " && hf upload OWNER/NAME " + run.Name
	if r.Bucket != "" {
		command = "CIJEPA_BUCKET='" + strings.ReplaceAll(r.Bucket, "'", `'\''`) + "' " + command
	}
	return command
}
