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
	"slices"
	"strings"

	"github.com/schollz/progressbar/v3"

	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/pack"
	"github.com/cijepa/cijepa/storage/shards"
)

// listedRejects bounds what is printed of images that were left out.
const listedRejects = 20

// packing is what cijepa pack and cijepa index have in common: flags, the bucket, the summary.
type packing struct {
	flags   *flag.FlagSet
	data    string
	classes string
	check   bool
	out     io.Writer
	bars    io.Writer
	log     *slog.Logger

	warnings []string // of what may be a mistake
}

func newPacking(name, synopsis string, out, bars io.Writer, log *slog.Logger) *packing {
	p := &packing{flags: newFlags(name, synopsis), out: out, bars: bars, log: log}
	p.flags.StringVar(&p.data, "data", "imagenet-100", "`PREFIX` of the shards in the bucket: the CIJEPA_DATA of runs on them")
	p.flags.StringVar(&p.classes, "classes", "", "`FILE` of class names, one a line, in label order")
	p.flags.BoolVar(&p.check, "verify", true, "decode every image once and leave out what does not decode")
	return p
}

// parse reads the command line, which must have n arguments beside its flags, and the class file.
func (p *packing) parse(args []string, n int) (rest, classes []string, err error) {
	if rest, err = parse(p.flags, args, n, p.out); err != nil {
		return nil, nil, err
	}
	first, _, _ := strings.Cut(p.data, "/")
	if !fs.ValidPath(p.data) || p.data == "." || slices.Contains([]string{"runs", "report"}, first) {
		return nil, nil, &usageError{fmt.Errorf("-data %s: a folder of the bucket, such as imagenet-100, other than runs and report, which have their own use", p.data)}
	}
	if p.classes == "" {
		return rest, nil, nil
	}
	file, err := os.Open(p.classes)
	if err != nil {
		return nil, nil, &usageError{fmt.Errorf("-classes: %w", err)}
	}
	defer file.Close()
	if classes, err = pack.ReadClasses(file); err != nil {
		return nil, nil, &usageError{fmt.Errorf("-classes %s: %w", p.classes, err)}
	}
	return rest, classes, nil
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
	bucket, err := storage.Open(ctx, url, o)
	if err != nil && !errors.Is(err, storage.ErrUnreachable) && !errors.Is(err, storage.ErrDenied) && ctx.Err() == nil {
		err = &usageError{err}
	}
	return bucket, err
}

// verify is how images are looked at, or nil.
func (p *packing) verify() func([]byte) error {
	if !p.check {
		return nil
	}
	return func(image []byte) error {
		_, _, err := pixels.Verify(image)
		return err
	}
}

// progress is a bar with rate and time left, on a terminal.
func (p *packing) progress(bytes bool) func(done, total int64) {
	if p.bars == nil {
		return nil
	}
	var bar *progressbar.ProgressBar
	return func(done, total int64) {
		if bar == nil {
			bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.bars), progressbar.OptionSetDescription(p.flags.Name()),
				progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionShowBytes(bytes), progressbar.OptionSetPredictTime(true),
				progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set64(done) // the bar's only error is a terminal that is gone
	}
}

// summary says what was indexed, what was left out, and what may be a mistake.
func (p *packing) summary(index shards.Index, rejects []pack.Reject) error {
	var text strings.Builder
	for i, r := range rejects {
		if i == listedRejects {
			fmt.Fprintf(&text, "... and %d more\n", len(rejects)-i)
			break
		}
		fmt.Fprintf(&text, "left out: %s\n", r)
	}
	for _, split := range []string{"train", "val"} {
		fmt.Fprintf(&text, "%s: %d samples in %d shards\n", split, index.Counts[split], len(index.Splits[split]))
	}
	fmt.Fprintf(&text, "%d classes, %d images left out; run on it with CIJEPA_DATA=%s\n", len(index.Classes), len(rejects), p.data)
	for _, warning := range append(index.Warnings(), p.warnings...) {
		fmt.Fprintf(&text, "warning: %s\n", warning)
	}
	_, err := io.WriteString(p.out, text.String())
	return err
}

// warn keeps a warning until after the summary, where it is seen.
func (p *packing) warn(warning string) { p.warnings = append(p.warnings, warning) }

// runPack is cijepa pack.
func runPack(ctx context.Context, args []string, out, bars io.Writer, log *slog.Logger) error {
	p := newPacking("pack", "pack [flags] SOURCE BUCKET: turn labelled images into shards.\nSOURCE is a folder with train/CLASS/* and val/CLASS/*, of class tars, of IDX or of parquet files.", out, bars, log)
	seed := p.flags.Uint64("seed", 0, "seed of the order in which samples are packed")
	perShard := p.flags.Int("samples", 1000, "samples of a shard, at most")
	temp := p.flags.String("temp", "", "`FOLDER` for shards in the making; empty: the system's")
	rest, classes, err := p.parse(args, 2)
	if err != nil {
		return err
	}
	if *perShard < 1 {
		return &usageError{fmt.Errorf("-samples %d: a shard holds one sample or more", *perShard)}
	}
	source, err := pack.OpenSource(rest[0], *temp)
	if err != nil {
		return &usageError{fmt.Errorf("SOURCE: %w", err)}
	}
	defer source.Close()
	bucket, err := openBucket(ctx, rest[1], storage.Options{Log: p.log})
	if err != nil {
		return err
	}
	defer bucket.Close()
	index, rejects, err := pack.Pack(ctx, source, bucket, p.data, pack.PackOptions{
		Seed: *seed, PerShard: *perShard, TempDir: *temp, Classes: classes, Splits: []string{"train", "val"}, Verify: p.verify(), Progress: p.progress(false), Warn: p.warn})
	if err != nil {
		return mistake(err)
	}
	return p.summary(index, rejects)
}

// reindex is cijepa index.
func reindex(ctx context.Context, args []string, out, bars io.Writer, log *slog.Logger) error {
	p := newPacking("index", "index [flags] BUCKET: write the index of WebDataset shards that another program packed.", out, bars, log)
	labelKey := p.flags.String("label-key", "", "`KEY` of the label in a sample's .json member, where there is no .cls")
	rest, classes, err := p.parse(args, 1)
	if err != nil {
		return err
	}
	bucket, err := openBucket(ctx, rest[0], storage.Options{Log: p.log, MustExist: true})
	if err != nil {
		return err
	}
	defer bucket.Close()
	index, rejects, err := pack.Reindex(ctx, bucket, p.data, pack.ReindexOptions{
		LabelKey: *labelKey, Classes: classes, Verify: p.verify(), Progress: p.progress(true)})
	if err != nil {
		return mistake(err)
	}
	return p.summary(index, rejects)
}
