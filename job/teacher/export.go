package teacher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage"
)

// hubFile is the name under which the hub's tools look for weights.
const hubFile = "model.safetensors"

// Export writes an encoder of a run with its config.json and its card into a folder, which is made.
// It returns the card. What the run does not have is ErrNone.
func Export(ctx context.Context, bucket *storage.Bucket, name settings.TeacherName, student bool, folder string, log *slog.Logger) (Card, error) {
	run, err := OpenRun(ctx, bucket, name.Run, log)
	if err != nil {
		return Card{}, err
	}
	c := Card{
		Run: name.Run, Preset: run.Record.Preset, Recipe: run.Record.Recipe, Fingerprint: run.Record.Fingerprint,
		Network: "teacher", File: hubFile, Step: name.Step, Begun: run.Record.Begun, Versions: run.Record.Versions,
	}
	part := model.TeacherPart
	if student {
		c.Network, part = "student", model.StudentPart
	}
	e, _, err := run.Network(ctx, part, name.Step)
	if err != nil {
		return c, err
	}
	if name.Step == 0 {
		c.Step = run.Result.Metrics.Updates
		if !student {
			c.Result = run.Result
		}
	}
	var weights bytes.Buffer
	h := sha256.New()
	if err := e.Export(io.MultiWriter(&weights, h), map[string]string{"run": name.Run}); err != nil {
		return c, err
	}
	c.SHA256 = hex.EncodeToString(h.Sum(nil))
	config, err := Config(c.model())
	if err != nil {
		return c, err
	}
	files := map[string][]byte{hubFile: weights.Bytes(), ConfigFile: config}
	if p := c.Pictures(); p != nil {
		pictures, err := run.pictures(ctx, p)
		if err != nil {
			log.Warn("the card has no pictures", "error", err)
			without := *c.Result
			without.Pictures = nil
			c.Result = &without
		}
		maps.Copy(files, pictures)
	}
	card, err := c.Markdown()
	if err != nil {
		return c, err
	}
	files[CardFile] = card
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return c, fmt.Errorf("making the folder to export to: %w", err)
	}
	for file, data := range files {
		if err := os.WriteFile(filepath.Join(folder, file), data, 0o666); err != nil {
			return c, fmt.Errorf("exporting: %w", err)
		}
	}
	return c, nil
}

// pictures reads the files of a run's pictures: all of them, or none.
func (r *Run) pictures(ctx context.Context, p *record.Pictures) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, s := range p.Sheets() {
		if s.File != record.ComponentsFile && s.File != record.NeighboursFile {
			return nil, fmt.Errorf("%w: no run has a picture %q", storage.ErrCorrupt, s.File)
		}
		data, err := r.bucket.GetTwice(ctx, r.folder.Key(s.File))
		if err != nil {
			return nil, err
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != s.SHA256 {
			return nil, fmt.Errorf("reading %s: %w: its sha256 is %x, and the result says %s", r.folder.Key(s.File), storage.ErrCorrupt, sum, s.SHA256)
		}
		files[s.File] = data
	}
	return files, nil
}
