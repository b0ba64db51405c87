package pack

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// layout is what a source looks like.
const layout = "train/CLASS/*.JPEG and val/CLASS/*.JPEG (or train/CLASS.tar and val/CLASS.tar, or train-*.parquet and val-*.parquet)"

// complete makes sure, before anything is uploaded, that the splits that are asked for have images. A source that is given one folder too deep or
// too high shows here.
func (p *packer) complete(chosen map[string][]int) error {
	for _, split := range p.options.Splits {
		if len(chosen[split]) > 0 {
			continue
		}
		of := ""
		if len(p.options.Classes) > 0 {
			of = " of a listed class"
		}
		return fmt.Errorf("%w: split %s has no image%s; the source must be the folder in which there is %s", storage.ErrUnfit, split, of, layout)
	}
	return nil
}

// stillComplete looks again when all images have been looked at: those of a whole split may have been refused.
func (p *packer) stillComplete(splits map[string][]shards.Shard) error {
	for _, split := range p.options.Splits {
		if len(splits[split]) > 0 {
			continue
		}
		first := slices.IndexFunc(p.rejects, func(r Reject) bool { return r.Split == split }) // there is one: complete has seen images
		return fmt.Errorf("%w: all images of split %s were left out, such as %s", storage.ErrUnfit, split, p.rejects[first])
	}
	return nil
}

// warn tells what may be a mistake.
func (p *packer) warn(empty []string) {
	if p.options.Warn == nil {
		return
	}
	if len(p.options.Classes) > 0 { // what the list does not name is not missed
		empty = slices.DeleteFunc(slices.Clone(empty), func(folder string) bool {
			_, class, _ := strings.Cut(folder, "/")
			return !slices.Contains(p.options.Classes, class)
		})
	}
	if len(empty) > 0 {
		p.options.Warn(fmt.Sprintf("%d class folders have no image: %s", len(empty), shards.Abbreviate(empty)))
	}
	images, sum := p.images(), 0
	for class := range p.labels {
		delete(images, class)
	}
	for _, n := range images {
		sum += n
	}
	if len(images) > 0 {
		p.options.Warn(fmt.Sprintf("%d classes of the source, with %d images, are not in the class list: %s", len(images), sum, shards.Abbreviate(slices.Sorted(maps.Keys(images)))))
	}
}
