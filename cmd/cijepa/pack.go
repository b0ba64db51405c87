package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/bar"
	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/classlist"
	"github.com/cijepa/cijepa/storage/pack"
	"github.com/cijepa/cijepa/storage/shards"
)

// defaultData is where the presets look for their data.
const defaultData = "imagenet-100"

// listedRejects bounds what is printed of images that were left out.
const listedRejects = 20

// packing is what cijepa pack and cijepa index have in common: flags, the bucket, the summary.
type packing struct {
	flags      *flag.FlagSet
	data       string
	classes    string
	names      string
	train, val patterns
	allowed    int
	unlabelled bool
	rejects    string
	check      bool
	out        io.Writer
	bars       io.Writer
	log        *slog.Logger

	held     shards.HeldOut
	warnings []string // of what may be a mistake
}

// patterns are the values of a flag that can be given more than once.
type patterns []string

func (p *patterns) String() string { return strings.Join(*p, " ") }

// Set implements flag.Value.
func (p *patterns) Set(value string) error {
	if _, err := path.Match(value, ""); err != nil || value == "" {
		return fmt.Errorf("%q is no pattern of names", value)
	}
	*p = append(*p, value)
	return nil
}

// match reports whether a name fits one of the patterns.
func (p *patterns) match(name string) bool {
	return slices.ContainsFunc(*p, func(pattern string) bool {
		fits, _ := path.Match(pattern, name)
		return fits
	})
}

func newPacking(name, synopsis string, out, bars io.Writer, log *slog.Logger) *packing {
	p := &packing{flags: newFlags(name, synopsis), out: out, bars: bars, log: log}
	p.flags.StringVar(&p.data, "data", defaultData, "`PREFIX` of the shards in the bucket: the CIJEPA_DATA of runs on them")
	p.flags.StringVar(&p.classes, "classes", "", "the classes to take, in label order: a `LIST`, that is a file with one name a line, or one of "+strings.Join(classlist.Names(), ", ")+
		". Where labels are numbers without names, it gives each number a name")
	p.flags.StringVar(&p.names, "names", "", "the names of the class numbers of the source, in their order, of which -classes takes some: a `LIST` as for -classes")
	p.flags.Var(&p.train, "train", "`PATTERN` of the folders or files that are train, such as 'part-0*'; can be given again. Without it the words of their names tell: train, training")
	p.flags.Var(&p.val, "val", "`PATTERN` of those that are val, such as test. Without it the words tell: val, valid, validation")
	p.flags.IntVar(&p.allowed, "allow-unlabelled", 0, "leave out up to `N` samples whose label is missing; without it one of them is a fault")
	p.flags.BoolVar(&p.unlabelled, "unlabelled", false, "take images as they lie, without labels, for pretraining alone; val may be missing, and labels that there are get dropped")
	p.flags.StringVar(&p.rejects, "rejects", "", "write all that was left out to `FILE`, a line each: split, name, reason")
	p.flags.BoolVar(&p.check, "verify", true, "decode every image once and leave out what does not decode")
	return p
}

// parse reads the command line, which must have n arguments beside its flags, and the class lists.
func (p *packing) parse(args []string, n int) (rest []string, labels pack.Labels, err error) {
	if rest, err = parse(p.flags, args, n, p.out); err != nil {
		return nil, labels, err
	}
	first, _, _ := strings.Cut(p.data, "/")
	if !fs.ValidPath(p.data) || p.data == "." || slices.Contains([]string{"runs", "report"}, first) {
		return nil, labels, &usageError{fmt.Errorf("-data %s: a folder of the bucket, such as "+
			"imagenet-100, other than runs and report, which have their own use", p.data)}
	}
	labels = pack.Labels{AllowUnlabelled: p.allowed, Unlabelled: p.unlabelled, Splits: []string{"train", "val"}}
	if p.unlabelled {
		labels.Splits = labels.Splits[:1]
		for _, name := range []string{"classes", "names", "allow-unlabelled", "label", "label-key", "val-labels"} {
			if p.given(name) {
				return nil, labels, &usageError{fmt.Errorf("-%s is about labels, and -unlabelled takes none: give one of them", name)}
			}
		}
	}
	for _, list := range []struct {
		flag, name string
		to         *[]string
	}{{"classes", p.classes, &labels.Classes}, {"names", p.names, &labels.Names}} {
		if list.name == "" {
			continue
		}
		if *list.to, err = classlist.Open(list.name); err != nil {
			return nil, labels, &usageError{fmt.Errorf("-%s %s: %w", list.flag, list.name, err)}
		}
	}
	return rest, labels, nil
}

// given tells whether a flag stands on the command line.
func (p *packing) given(name string) (is bool) {
	p.flags.Visit(func(f *flag.Flag) { is = is || f.Name == name })
	return is
}

// mistake makes a usage error of what only another command line can mend: another source, class
// file or prefix.
func mistake(err error) error {
	if errors.Is(err, storage.ErrUnfit) || errors.Is(err, storage.ErrExists) {
		return &usageError{err}
	}
	return err
}

// openBucket opens a bucket that a person has typed: what is neither refused nor out of reach is a
// typing mistake.
func openBucket(ctx context.Context, url string, o storage.Options) (*storage.Bucket, error) {
	o.Interactive = true
	bucket, err := storage.Open(ctx, url, o)
	if err != nil && !errors.Is(err, storage.ErrUnreachable) && !errors.Is(err, storage.ErrDenied) && ctx.Err() == nil {
		err = &usageError{err}
	}
	return bucket, err
}

// openTarget is openBucket for a bucket that an index is written to. It tries at once whether a
// remote store can do what that needs, which would else show when all shards are there.
func (p *packing) openTarget(ctx context.Context, url string, mustExist bool) (*storage.Bucket, error) {
	bucket, err := openBucket(ctx, url, storage.Options{Log: p.log, MustExist: mustExist})
	scheme, _, _ := strings.Cut(url, ":")
	if err != nil || scheme == "file" || scheme == "mem" {
		return bucket, err
	}
	if err := bucket.Check(ctx, p.data+"/"); err != nil {
		return nil, errors.Join(fmt.Errorf("no shards can be put into %s: %w", p.data, err), bucket.Close())
	}
	return bucket, nil
}

// checks look at the images unless that is switched off. Progress counts images, or bytes.
func (p *packing) checks(bytes bool) pack.Checks {
	checks := pack.Checks{Warn: p.warn, Progress: p.progress(bytes)}
	if p.check {
		checks.Verify, checks.Decoder = pixels.Verify, pixels.DecoderName()
	}
	return checks
}

// progress is a bar with rate and time left, on a terminal. It counts images, or bytes.
func (p *packing) progress(bytes bool) func(done, total int64) {
	if p.bars == nil {
		return nil
	}
	var line *bar.Bar
	var begun time.Time
	return func(done, total int64) {
		if line == nil {
			begun, line = time.Now(), bar.New(p.bars, p.flags.Name(), 0, total)
			if bytes {
				line.Format = func(n int64) string { return settings.FormatBytes(float64(n)) }
			}
		}
		line.Update(done, func() []string {
			rate := float64(done) / max(time.Since(begun).Seconds(), 1e-9)
			if bytes {
				return []string{settings.FormatBytes(rate) + "/s"}
			}
			return []string{fmt.Sprintf("%.0f images/s", rate)}
		})
		if done == total {
			line.End()
		}
	}
}

// summary says what was indexed, what was left out, and what may be a mistake.
func (p *packing) summary(index shards.Index, rejects []pack.Reject) error {
	var text strings.Builder
	left := 0
	for i, r := range rejects {
		left += r.Count()
		if i < listedRejects {
			fmt.Fprintf(&text, "left out: %s\n", record.Printable(r.String()))
		}
	}
	if more := len(rejects) - listedRejects; more > 0 && p.rejects == "" {
		fmt.Fprintf(&text, "... and %d more; -rejects FILE lists all\n", more)
	} else if more > 0 {
		fmt.Fprintf(&text, "... and %d more, all in %s\n", more, p.rejects)
	}
	for _, split := range []string{"train", "val"} {
		fmt.Fprintf(&text, "%s: %s in %s\n", split, plural(index.Counts[split], "sample"), plural(len(index.Splits[split]), "shard"))
	}
	if p.held.Share > 0 {
		of := "each class"
		if index.Unlabelled() {
			of = "all images"
		}
		fmt.Fprintf(&text, "val is held out of train: %v of %s, chosen with seed %d\n", p.held.Share, of, p.held.Seed)
	}
	if p.check {
		fmt.Fprintf(&text, "every image was decoded, JPEG files with %s\n", pixels.DecoderName())
	}
	if list := classlist.Describe(index.Classes); list != "" {
		fmt.Fprintf(&text, "the classes are those of %s\n", list)
	}
	classes := fmt.Sprintf("%d classes", len(index.Classes))
	if index.Unlabelled() {
		classes = "no labels, so that runs on it pretrain and nothing more"
	}
	fmt.Fprintf(&text, "%s, %s left out; run on it with CIJEPA_DATA=%s\n", classes, plural(left, "image"), p.data)
	if classlist.Recognise(index.Classes) == "" && p.data == defaultData {
		fmt.Fprintf(&text, "warning: these are no classes of a known list, and lie below %s, which is what pack takes without -data\n", defaultData)
	}
	for _, warning := range append(index.Warnings(), p.warnings...) {
		fmt.Fprintf(&text, "warning: %s\n", record.Printable(warning))
	}
	_, err := io.WriteString(p.out, broken(text.String(), columnsOf(p.out)))
	return errors.Join(err, p.writeRejects(rejects))
}

// warn keeps a warning until after the summary, where it is seen.
func (p *packing) warn(warning string) { p.warnings = append(p.warnings, warning) }

// writeRejects writes what was left out to the file that is asked for.
func (p *packing) writeRejects(rejects []pack.Reject) error {
	if p.rejects == "" {
		return nil
	}
	var text strings.Builder
	for _, r := range rejects {
		fmt.Fprintf(&text, "%s\t%s\t%s\n", r.Split, record.Printable(r.Name), record.Printable(strings.ReplaceAll(r.Err.Error(), "\n", "; ")))
	}
	if err := os.WriteFile(p.rejects, []byte(text.String()), 0o666); err != nil {
		return &usageError{fmt.Errorf("-rejects: %w", err)}
	}
	return nil
}

// runPack is cijepa pack.
func runPack(ctx context.Context, args []string, out, bars io.Writer, log *slog.Logger) error {
	p := newPacking("pack", "pack [flags] SOURCE BUCKET: turn labelled images into shards.\nSOURCE is a folder with train/CLASS/* and val/CLASS/*, of tar files of these, of WebDataset shards, of parquet or of IDX files.", out, bars, log)
	seed := p.flags.Uint64("seed", 0, "seed of the order in which samples are packed")
	perShard := p.flags.Int("samples", 1000, "samples of a shard, at most")
	temp := p.flags.String("temp", "", "`FOLDER` for shards in the making; empty: the system's")
	var o pack.SourceOptions
	p.flags.StringVar(&o.ValLabels, "val-labels", "", "`FILE` of val's labels where its images lie in no class folders: LOC_val_solution.csv, val_annotations.txt, another table of file name and class, "+
		"or ILSVRC's development kit (folder or archive)")
	p.flags.StringVar(&o.Label, "label", "", "`COLUMN` of parquet files, or key of the .json of WebDataset samples, that has the label")
	p.flags.BoolVar(&o.Follow, "follow", false, "take folders that links lead to out of SOURCE; without it such a link is a fault")
	held := &p.held
	p.flags.Float64Var(&held.Share, "val-share", 0, "hold this `SHARE` of the images of each class of train out as val, such as 0.1, rounded to whole images, one at least; a val of the source's own is passed over")
	p.flags.Uint64Var(&held.Seed, "val-seed", 0, "seed of the choice of -val-share")
	rest, labels, err := p.parse(args, 2)
	if err != nil {
		return err
	}
	o.HoldOut, o.Unlabelled = p.given("val-share"), p.unlabelled
	switch {
	case o.HoldOut && !(held.Share > 0 && held.Share < 1):
		return &usageError{fmt.Errorf("-val-share %v: a share of train above 0 and below 1", held.Share)}
	case o.HoldOut && (p.given("val") || p.given("val-labels")):
		return &usageError{errors.New("-val-share takes val from train, -val and -val-labels from the source: give one of them")}
	case p.given("val-seed") && !o.HoldOut:
		return &usageError{errors.New("-val-seed chooses the images of -val-share, which is not given")}
	}
	if *perShard < 1 {
		return &usageError{fmt.Errorf("-samples %d: a shard holds one sample or more", *perShard)}
	}
	o.TempDir, o.Train, o.Val = *temp, p.train, p.val
	source, err := pack.OpenSource(ctx, rest[0], o)
	if err != nil {
		return sourceError(ctx, err)
	}
	defer source.Close()
	bucket, err := p.openTarget(ctx, rest[1], false)
	if err != nil {
		return err
	}
	defer bucket.Close()
	options := pack.PackOptions{Labels: labels, Checks: p.checks(false), Seed: *seed, PerShard: *perShard, TempDir: *temp}
	if o.HoldOut {
		options.HoldOut = held
	}
	index, rejects, err := pack.Pack(ctx, source, bucket, p.data, options)
	if err != nil {
		return errors.Join(mistake(err), p.writeRejects(rejects))
	}
	return p.summary(index, rejects)
}

// sourceError makes a usage error of a source that cannot be opened, but for one that is damaged.
func sourceError(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, storage.ErrCorrupt) {
		return err
	}
	return &usageError{fmt.Errorf("SOURCE: %w", err)}
}

// reindex is cijepa index.
func reindex(ctx context.Context, args []string, out, bars io.Writer, log *slog.Logger) error {
	p := newPacking("index", "index [flags] BUCKET: write the index of WebDataset shards that another program packed.", out, bars, log)
	labelKey := p.flags.String("label-key", "", "`KEY` of the label in a sample's .json member, where there is no .cls")
	p.flags.StringVar(labelKey, "label", "", "the same as -label-key")
	rest, labels, err := p.parse(args, 1)
	if err != nil {
		return err
	}
	bucket, err := p.openTarget(ctx, rest[0], true)
	if err != nil {
		return err
	}
	defer bucket.Close()
	index, rejects, err := pack.Reindex(ctx, bucket, p.data, pack.ReindexOptions{
		Labels: labels, Checks: p.checks(true), LabelKey: *labelKey, Train: p.train, Val: p.val})
	if err != nil {
		return errors.Join(mistake(err), p.writeRejects(rejects))
	}
	return p.summary(index, rejects)
}
