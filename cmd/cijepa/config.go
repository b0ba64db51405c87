package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

const configUsage = `config: print all settings and presets.

config -env: print the settings that the environment makes, as lines CIJEPA_X=value, quoted for a shell and for a sweep.
config -env BUCKET RUN: print those that a run was begun with, to resume it elsewhere or to begin another one like it.

  CIJEPA_PRESET=demo cijepa config -env
  set -a; eval "$(cijepa config -env s3://bucket demo-s0)"; set +a`

// showConfig is cijepa config.
func showConfig(ctx context.Context, args []string, out io.Writer, log *slog.Logger) error {
	flags := newFlags("config", configUsage)
	env := flags.Bool("env", false, "print settings as lines to paste; a bucket's URL may hold a secret")
	asJSON := flags.Bool("json", false, "print all settings and presets as one JSON document")
	rest, err := parse(flags, args, anyArguments, out)
	if err != nil {
		return err
	}
	switch {
	case *env && *asJSON:
		return misused("config", "-env and -json are two forms")
	case !*env && len(rest) > 0:
		return misused("config", "config takes no argument without -env, and %q is one", rest[0])
	case *env && len(rest) != 0 && len(rest) != 2:
		return misused("config", "config -env takes no argument, or a bucket and the name of a run")
	case *asJSON:
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(settings.Describe())
	case !*env:
		_, err := io.WriteString(out, settings.Usage())
		return err
	}
	var lines []string
	if len(rest) == 2 {
		lines, err = runEnvironment(ctx, rest[0], strings.TrimPrefix(rest[1], "runs/"), log)
	} else {
		lines, err = settings.Environment()
	}
	if err != nil {
		return err
	}
	return printLines(out, lines)
}

// runEnvironment reads what a run of a bucket was begun with.
func runEnvironment(ctx context.Context, url, name string, log *slog.Logger) ([]string, error) {
	bucket, err := openBucket(ctx, url, storage.Options{Log: log, MustExist: true})
	if err != nil {
		return nil, err
	}
	defer bucket.Close()
	run := checkpoint.OpenRun(bucket, name, "reader", log)
	text, err := run.Record(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, &usageError{fmt.Errorf("there is no run %q in %s: cijepa ls %s lists them", name, storage.Redacted(url), storage.Redacted(url))}
	}
	if err != nil {
		return nil, err
	}
	stored, err := settings.ReadRunRecord(text, run.Key("run.json"))
	if err != nil {
		return nil, err
	}
	return settings.RunEnvironment(url, name, stored), nil
}

const versionUsage = "version: print the versions of what would compute a run."

// showVersions is cijepa version.
func showVersions(args []string, versions record.Versions, out io.Writer) error {
	flags := newFlags("version", versionUsage)
	asJSON := flags.Bool("json", false, "print them as one line of JSON")
	if _, err := parse(flags, args, 0, out); err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(out).Encode(versions)
	}
	var text strings.Builder
	for _, v := range []struct{ name, version string }{
		{"cijepa", versions.Program}, {"commit", versions.Commit}, {"build", versions.Build}, {"go", versions.Go},
		{"gomlx", versions.GoMLX}, {"compute", versions.Compute}, {"go-xla", versions.GoXLA},
	} {
		if v.version != "" {
			fmt.Fprintf(&text, "%-8s %s\n", v.name, v.version)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}
