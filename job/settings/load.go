package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/record"
)

// Prefix begins the name of every setting's environment variable.
const Prefix = record.Prefix

// Load reads the environment over the defaults and the preset. It checks every setting and returns
// all faults in one *Error. The argument preset holds when CIJEPA_PRESET is not set. adjust, if not
// nil, changes the defaults of a command before the environment is read. Of a sweep it checks every
// line, and reads the one that JOB_COMPLETION_INDEX names.
func Load(preset string, adjust func(*Config)) (Config, error) {
	if path := os.Getenv(sweepVariable); path != "" {
		return loadLine(path, os.Getenv(indexVariable), preset, adjust)
	}
	return load(preset, adjust)
}

// load is Load without a sweep.
func load(preset string, adjust func(*Config)) (Config, error) {
	c := Defaults()
	if preset != "" {
		c.Preset = preset
	}
	if v, ok := os.LookupEnv(Prefix + "_PRESET"); ok {
		c.Preset = v
	}
	faults := &Error{}
	if err := c.applyPreset(); err != nil {
		faults.Add(Prefix+"_PRESET", c.Preset, err.Error())
	}
	if adjust != nil {
		adjust(&c)
	}
	base, preset := c.Recipe, c.Preset
	known := map[string]bool{}
	for _, f := range fields(&c) {
		known[f.variable] = true
		if err := f.read(); err != nil {
			faults.addParse(err)
		}
	}
	for _, entry := range os.Environ() {
		if v, _, _ := strings.Cut(entry, "="); strings.HasPrefix(v, Prefix+"_") && !known[v] {
			faults.Add(v, "", "not a setting; "+suggestion(v, known))
		}
	}
	c.Preset = preset // as the table writes it
	if _, set := rawValue(Variable("Depths")); !set && c.Depth != base.Depth {
		c.Depths = base.Depths.endingAt(c.Depth - 1)
	}
	if c.Run == "" {
		c.Run = c.defaultRun()
	}
	if c.CacheDir == "" {
		c.CacheDir = defaultCacheDir()
	}
	if c.DataBucket == "" {
		c.DataBucket = c.Bucket
	}
	c.validate(faults)
	return c, faults.OrNil()
}

// defaultRun is the name of a run that has been given none.
func (c Config) defaultRun() string { return fmt.Sprintf("%s-s%d", c.Preset, c.Seed) }

// WholeSweep returns the file of the sweep if the environment names one and no line of it, else "".
func WholeSweep() string {
	if os.Getenv(indexVariable) != "" {
		return ""
	}
	return os.Getenv(sweepVariable)
}

// TrainerServer returns where Kubeflow Trainer wants to be told of the progress, as it says in the
// environment of its pods: the URL, and the files of the CA and of the token. All are empty
// elsewhere.
func TrainerServer() (server struct{ URL, CACert, Token string }) {
	server.URL = os.Getenv("KUBEFLOW_TRAINER_SERVER_URL")
	server.CACert = os.Getenv("KUBEFLOW_TRAINER_SERVER_CA_CERT")
	server.Token = os.Getenv("KUBEFLOW_TRAINER_SERVER_TOKEN")
	return server
}

// defaultCacheDir is a folder that no other user can prepare, or, without a home, one that shows to
// whom it belongs.
func defaultCacheDir() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "cijepa")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("cijepa-%d", os.Geteuid()))
}

// XLAFlags is the environment variable in which XLA reads its flags.
func XLAFlags() string { return os.Getenv("XLA_FLAGS") }

// StopDeadline is that of Config by the environment, or the default where it cannot be read.
// The signal handler needs it whether or not the other settings can be read.
func StopDeadline() time.Duration {
	c := Defaults()
	for _, f := range fields(&c) {
		if f.field.Name == "StopGrace" && f.read() != nil {
			return Defaults().StopDeadline()
		}
	}
	return c.StopDeadline()
}

// JSONLog says whether the log is to be JSON lines, by CIJEPA_LOG or, where that is not set, by
// whether the log goes to a terminal. The log is made whether or not the other settings can be
// read.
func JSONLog(terminal bool) bool {
	switch v, _ := rawValue(Variable("Log")); v {
	case jsonLog:
		return true
	case textLog:
		return false
	}
	return !terminal
}

// rawValue returns the value of an environment variable as it was typed, for messages.
func rawValue(variable string) (string, bool) { return os.LookupEnv(variable) }
