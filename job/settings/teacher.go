package settings

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// TeacherName names a frozen encoder: that of a run of CIJEPA_BUCKET, or a file. The zero value
// names none.
type TeacherName struct {
	Run  string
	Step int64  // updates of pretraining, of a checkpoint that is kept; 0: the run's end
	URL  string // of a safetensors file, if Run is empty
}

// Decode implements envconfig.Decoder.
func (n *TeacherName) Decode(s string) error {
	errForm := errors.New("a run, such as runs/NAME or runs/NAME@STEP, or the URL of a file, such as s3://bucket/folder/teacher.safetensors")
	if s == "" {
		*n = TeacherName{}
		return nil
	}
	if run, ok := strings.CutPrefix(s, "runs/"); ok {
		name, step, atStep := strings.Cut(strings.TrimSuffix(run, "/"), "@")
		named := TeacherName{Run: name}
		var err error
		if atStep {
			named.Step, err = strconv.ParseInt(step, 10, 64)
		}
		if err != nil || named.Step < 0 || atStep && named.Step == 0 || !runName.MatchString(name) {
			return errForm
		}
		*n = named
		return nil
	}
	if u, err := url.Parse(s); err != nil || u.Scheme == "" || strings.Trim(u.Path, "/") == "" {
		return errForm
	}
	*n = TeacherName{URL: s}
	return nil
}

// String writes the name as Decode reads it.
func (n TeacherName) String() string {
	switch {
	case n.Run == "":
		return n.URL
	case n.Step > 0:
		return fmt.Sprintf("runs/%s@%d", n.Run, n.Step)
	}
	return "runs/" + n.Run
}

// BucketURL is Config.Bucket of the environment, for a command that needs no other setting.
func BucketURL() string {
	url, _ := rawValue(Variable("Bucket"))
	return url
}
