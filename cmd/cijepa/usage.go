package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const usage = `cijepa pretrains a ViT with cI-JEPA from shards in a bucket, probes it and writes the result back.

  cijepa                    run, or go on with, the run that the environment describes
  cijepa check              try what that run needs, and predict its hours, before it begins
  cijepa bench              time the training step of these settings without data, print one line of JSON
  cijepa demo               pack a few thousand real images, pretrain a tiny ViT on them, probe it: minutes on two cores
  cijepa pack SOURCE BUCKET turn a folder of images into shards in a bucket
  cijepa index BUCKET       write the index of shards that another program packed
  cijepa sweep FILE         run the lines of settings in a file one after another; -table and others print such a file
  cijepa probe              probe a teacher on any packed data, with all labels or a few
  cijepa export runs/NAME   write a teacher into a folder that timm loads and the Hugging Face hub takes
  cijepa ls BUCKET          list the runs of a bucket: where they stand, their figures
  cijepa report BUCKET      lay all runs of a bucket side by side: a page, tables, charts
  cijepa health             ask the run of this container whether it moves: for a liveness probe
  cijepa config             print all settings and presets; -env those of the environment or of a run, to paste
  cijepa version            print the versions of what would compute a run
  cijepa help COMMAND       tell what a command takes

Settings are environment variables that begin with CIJEPA_; cijepa config lists them.
`

// demoUsage is the help of cijepa demo.
const demoUsage = "demo: pack a few thousand real images, pretrain a tiny ViT on them, probe it.\nIt writes to the folder cijepa-demo where it is started, or to CIJEPA_BUCKET. Other settings change the preset demo."

// errUsage marks errors of the command line, exit code 64. It is never printed; usageError has the
// text.
var errUsage = errors.New("a fault of the command line")

// usageError is an errUsage with its text.
type usageError struct{ err error }

func (e *usageError) Error() string        { return e.err.Error() }
func (e *usageError) Unwrap() error        { return e.err }
func (e *usageError) Is(target error) bool { return target == errUsage }

// misused is an errUsage that points to the help of a command.
func misused(command, format string, args ...any) error {
	if command != "" {
		command = " " + command
	}
	return &usageError{fmt.Errorf(format+"; see cijepa help%s", append(args, command)...)}
}

// commandNames are the commands that the general help names.
func commandNames() (names []string) {
	for line := range strings.Lines(usage) {
		if rest, ok := strings.CutPrefix(line, "  cijepa "); ok && rest[0] != ' ' {
			names = append(names, strings.Fields(rest)[0])
		}
	}
	return names
}

// newFlags returns an empty flag set. The synopsis begins with the name of the command.
func newFlags(name, synopsis string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "cijepa %s\n\n", synopsis)
		flags.PrintDefaults()
	}
	return flags
}

// anyArguments tells parse that the command itself counts its arguments.
const anyArguments = -1

// parse reads the flags and the n arguments of a command, in any order. For -h it prints the help
// and returns flag.ErrHelp.
func parse(flags *flag.FlagSet, args []string, n int, out io.Writer) (rest []string, err error) {
	flags.SetOutput(io.Discard) // package flag would print the whole help with every error
	for {
		err := flags.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(out)
			flags.Usage()
			return nil, err
		}
		if err != nil {
			return nil, misused(flags.Name(), "%s: %w", flags.Name(), err)
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	switch {
	case n == anyArguments, len(rest) == n:
		return rest, nil
	case n == 0:
		return nil, misused(flags.Name(), "%s takes no argument, and %q is one", flags.Name(), rest[0])
	}
	return nil, misused(flags.Name(), "%s takes %s, not %d", flags.Name(), plural(n, "argument"), len(rest))
}

// plural counts things.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}
