package teacher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path"
	"strings"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/safetensors"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// The names of the teacher and of what lies beside it in the folder of its run.
const (
	File       = model.TeacherPart
	ConfigFile = "config.json"
	CardFile   = "README.md"
)

// ErrNone is a name of which there is no encoder, or one of other sizes.
var ErrNone = errors.New("no such encoder")

// Run is a run as its folder says.
type Run struct {
	Record settings.RunRecord
	Result *settings.Result // nil: it has not finished

	folder *checkpoint.Run
	bucket *storage.Bucket
}

// OpenRun reads what the folder runs/<name> says. A run that is not there is ErrNone.
func OpenRun(ctx context.Context, bucket *storage.Bucket, name string, log *slog.Logger) (*Run, error) {
	r := &Run{folder: checkpoint.OpenRun(bucket, name, "reader", log), bucket: bucket}
	text, err := bucket.GetTwice(ctx, r.folder.Key("run.json"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%w: there is no %s in this bucket", ErrNone, r.folder.Key("run.json"))
	}
	if err != nil {
		return nil, err
	}
	if r.Record, err = settings.ReadRunRecord(text, r.folder.Key("run.json")); err != nil {
		return nil, err
	}
	text, err = r.folder.Result(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	result, err := settings.ReadResult(r.Record.Recipe, text, r.folder.Key("result.json"))
	r.Result = &result
	return r, err
}

// model is the network's sizes.
func (r *Run) model() model.Config { return settings.Config{Recipe: r.Record.Recipe}.Model() }

// Network reads the teacher or the student (model.TeacherPart, model.StudentPart) as it was after
// an update of pretraining, or, for step 0, at the end of the run. sum is the sha256 of its file
// under timm's names. What the run does not have is ErrNone.
func (r *Run) Network(ctx context.Context, part string, step int64) (e *model.Encoder, sum string, err error) {
	if step == 0 {
		if r.Result == nil {
			return nil, "", fmt.Errorf("%w: %s has not finished; name an update whose checkpoint is kept", ErrNone, r.folder.Key(""))
		}
		if part == model.TeacherPart {
			return readFile(ctx, r.bucket, r.folder.Key(File), r.model(), r.Result.Metrics.TeacherSHA256)
		}
		step = r.Result.Metrics.Updates
	}
	err = r.folder.LoadAt(ctx, record.Pretraining, step, func(c checkpoint.Checkpoint) error {
		file, err := c.Open(part)
		if err != nil {
			return err
		}
		e, err = model.ReadStatePart(r.model(), part, file)
		_, rest := io.Copy(io.Discard, file) // a damaged header is damage: the end has the checksum
		return errors.Join(err, rest, file.Close())
	})
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, "", fmt.Errorf("%w: %w", ErrNone, err)
	case errors.Is(err, safetensors.ErrFormat):
		return nil, "", fmt.Errorf("%w: %w", storage.ErrCorrupt, err)
	case err != nil:
		return nil, "", err
	}
	h := sha256.New()
	err = e.Export(h, nil)
	return e, hex.EncodeToString(h.Sum(nil)), err
}

// Open reads the encoder that a setting names: from a run of this bucket, which must be of these
// sizes, or from a file of any bucket. It returns what a probe puts on record of it.
func Open(ctx context.Context, bucket *storage.Bucket, name settings.TeacherName, c model.Config, o storage.Options) (*model.Encoder, *record.Teacher, error) {
	said := &record.Teacher{From: name.String(), Step: name.Step}
	if name.Run == "" {
		e, sum, err := openURL(ctx, name.URL, c, o)
		said.From, _, _ = strings.Cut(said.From, "?") // its parameters may be secrets
		said.SHA256 = sum
		return e, said, err
	}
	run, err := OpenRun(ctx, bucket, name.Run, o.Log)
	if err != nil {
		return nil, nil, err
	}
	said.From = "runs/" + name.Run
	sizes := func(c model.Config) [4]int { return [4]int{c.Patch, c.Width, c.Depth, c.Heads} }
	if has, want := sizes(run.model()), sizes(c); has != want {
		return nil, nil, fmt.Errorf("%w of the sizes that are set: its patch, width, depth and heads are %v, not %v", ErrNone, has, want)
	}
	e, sum, err := run.Network(ctx, model.TeacherPart, name.Step)
	said.SHA256 = sum
	return e, said, err
}

// openURL reads a file of another bucket. The last part of a file:// URL's path is the file, and
// the whole path of any other.
func openURL(ctx context.Context, file string, c model.Config, o storage.Options) (*model.Encoder, string, error) {
	u, err := url.Parse(file)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	key := strings.TrimPrefix(u.Path, "/")
	if u.Path = ""; u.Scheme == "file" {
		u.Path, key = path.Dir("/"+key), path.Base(key)
	}
	o.MustExist = true
	bucket, err := storage.Open(ctx, u.String(), o)
	if err != nil {
		if errors.Is(err, storage.ErrUnreachable) || errors.Is(err, storage.ErrDenied) || ctx.Err() != nil {
			return nil, "", err
		}
		return nil, "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	defer bucket.Close()
	return readFile(ctx, bucket, key, c, "")
}

// readFile reads a file under timm's names and returns its sha256, which must be want unless that
// is empty.
func readFile(ctx context.Context, bucket *storage.Bucket, key string, c model.Config, want string) (*model.Encoder, string, error) {
	file, err := bucket.OpenAt(ctx, key, 0)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	if err != nil {
		return nil, "", err
	}
	h := sha256.New()
	e, err := model.ReadEncoder(c, io.TeeReader(file, h))
	if errors.Is(err, safetensors.ErrFormat) {
		if _, rest := io.Copy(h, file); rest != nil {
			err = rest
		}
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	sum := hex.EncodeToString(h.Sum(nil))
	switch {
	case want != "" && sum != want && (err == nil || errors.Is(err, safetensors.ErrFormat)):
		return nil, "", fmt.Errorf("reading %s: %w: its sha256 is %s, and the result says %s", key, storage.ErrCorrupt, sum, want)
	case errors.Is(err, safetensors.ErrFormat):
		return nil, "", fmt.Errorf("%w of the sizes that are set: %s: %w", ErrNone, key, err)
	case err != nil:
		return nil, "", err
	}
	return e, sum, nil
}
