package pack

import (
	"context"
	"encoding/json"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// statedShard is what another tool's index says of a shard; nil is not said.
type statedShard struct {
	split, name string
	samples     *int
	size        *int64
}

// check refuses another number of samples.
func (s statedShard) check(samples int) error {
	if s.samples != nil && samples != *s.samples {
		return corrupt("it has %d samples, its list says %d", samples, *s.samples)
	}
	return nil
}

// findShards finds out which shards there are and of which split. What is no shard of train or val
// is a reject.
func (r *reindexer) findShards(ctx context.Context) ([]statedShard, error) {
	read := func(name string) ([]byte, error) { return r.bucket.Get(ctx, shards.KeyPrefix(r.prefix)+name) }
	listed, err := shardLists(r.sizes, read)
	if err != nil {
		return nil, err
	}
	if size, ok := r.sizes[shards.IndexName]; ok && size <= storage.MaxGetSize {
		if data, err := read(shards.IndexName); err != nil {
			return nil, err
		} else if err := foreignIndex(r.prefix, data); err != nil {
			return nil, err
		}
	}
	var there, zipped []string
	for _, name := range sortedKeys(r.sizes) {
		base := path.Base(name)
		switch {
		case slices.ContainsFunc(listed, func(s statedShard) bool { return s.name == name }):
			there = append(there, name)
		case hidden(base):
		case unfinished(base):
			r.rejects = append(r.rejects, Reject{Split: otherSplit, Name: name, Err: errUnfinished})
		case strings.EqualFold(path.Ext(base), ".tar"):
			there = append(there, name)
		case stem(base) != base:
			zipped = append(zipped, name)
		}
	}
	if len(zipped) > 0 {
		return nil, unfit("%d shards are compressed, and training reads shards where they lie: unpack %s with gunzip, or make shards of them with cijepa pack",
			len(zipped), shards.Abbreviate(zipped))
	}
	all, gaps, err := splitShards(there, listed, r.options.Train, r.options.Val)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, unfit("there is no .tar object below %q: %w", r.prefix, storage.ErrNotFound)
	}
	r.warnings = append(r.warnings, gaps...)
	var stated []statedShard
	for _, shard := range all {
		size := r.sizes[shard.name]
		switch {
		case shard.size != nil && *shard.size != size:
			return nil, corrupt("the shard %s has %d bytes, its list says %d", shard.name, size, *shard.size)
		case shard.split != trainSplit && shard.split != valSplit:
			r.rejects = append(r.rejects, Reject{Split: otherSplit, Name: shard.name, Err: passedOver(shard.split, "PATTERN", false)})
			continue
		}
		stated = append(stated, shard)
		r.total += size
	}
	return stated, r.bothSplits(stated, there)
}

// bothSplits refuses a set that lacks shards of a split, and says how to name them.
func (r *reindexer) bothSplits(stated []statedShard, names []string) error {
	for _, split := range slices.Backward(r.options.Splits) {
		if slices.ContainsFunc(stated, func(s statedShard) bool { return s.split == split }) {
			continue
		}
		example := names[len(names)-1]
		if len(r.rejects) > 0 {
			example = r.rejects[0].Name
		}
		return unfit("no shard is of split %s: a word of its name or of a folder says it (train, val, valid, validation), or an option: -%s PATTERN takes shards as "+
			"%s, such as -%s '%s'; there is %s", split, split, split, split, example, shards.Abbreviate(names))
	}
	return nil
}

// foreignIndex refuses an index.json of another tool, which stands where ours has to be. It is the
// user's, and nothing is lost by a copy.
func foreignIndex(prefix string, data []byte) error {
	var index struct {
		Kind   string            `json:"__kind__"`
		Shards []json.RawMessage `json:"shards"`
	}
	tool := ""
	switch err := json.Unmarshal(data, &index); {
	case err != nil:
	case strings.HasPrefix(index.Kind, "wids"):
		tool = "webdataset (wids)"
	case index.Shards != nil:
		tool = "MosaicML streaming"
	}
	if tool == "" {
		return nil
	}
	return unfit("%s%s is the index of %s, which needs it, and the index of this program has the same name: copy or link the shards into a folder of their own, or "+
		"choose another prefix with -data", shards.KeyPrefix(prefix), shards.IndexName, tool)
}

// shardLists reads timm's list of shards, else those of webdataset, among files that are known by
// their sizes.
func shardLists(sizes map[string]int64, read func(name string) ([]byte, error)) ([]statedShard, error) {
	var stated []statedShard
	seen := map[string]bool{}
	for _, name := range sortedKeys(sizes) {
		base := path.Base(name)
		if !strings.HasSuffix(base, ".json") || base == shards.NotesName || hidden(base) || sizes[name] > storage.MaxGetSize {
			continue
		}
		data, err := read(name)
		if err != nil {
			return nil, err
		}
		reader := fromWids
		if base == "_info.json" || base == "info.json" {
			reader = fromInfo
		}
		found, err := reader(name, data)
		if err != nil {
			return nil, err
		}
		for _, shard := range found {
			if !seen[shard.name] {
				seen[shard.name] = true
				stated = append(stated, shard)
			}
		}
	}
	return stated, nil
}

// fromInfo reads timm's _info.json.
func fromInfo(name string, data []byte) ([]statedShard, error) {
	var info struct {
		Splits map[string]struct {
			Filenames    []string `json:"filenames"`
			ShardLengths []int    `json:"shard_lengths"`
		} `json:"splits"`
	}
	if err := json.Unmarshal(data, &info); err != nil {
		if path.Base(name) == "info.json" {
			return nil, nil // of some other tool
		}
		return nil, corrupt("%s is not the JSON that its name promises: %w", name, err)
	}
	var stated []statedShard
	for _, of := range sortedKeys(info.Splits) {
		split := info.Splits[of]
		if len(split.ShardLengths) > 0 && len(split.ShardLengths) != len(split.Filenames) {
			return nil, unfit("%s: split %s has %d file names and %d lengths", name, of, len(split.Filenames), len(split.ShardLengths))
		}
		ours, _ := splitOf(of)
		for i, file := range split.Filenames {
			shard := statedShard{split: ours, name: path.Join(path.Dir(name), file)}
			if len(split.ShardLengths) > 0 {
				shard.samples = &split.ShardLengths[i]
			}
			stated = append(stated, shard)
		}
	}
	return stated, nil
}

// fromWids reads an index of webdataset's. The split is that of the shards' names, else of its own.
func fromWids(name string, data []byte) ([]statedShard, error) {
	var list struct {
		Kind   string `json:"__kind__"`
		Shards []struct {
			URL     string `json:"url"`
			Samples *int   `json:"nsamples"`
			Size    *int64 `json:"filesize"`
		} `json:"shardlist"`
	}
	if json.Unmarshal(data, &list) != nil || list.Kind != "wids-shard-index-v1" {
		return nil, nil
	}
	var stated []statedShard
	of, _ := splitOf(path.Base(name))
	for _, shard := range list.Shards {
		place := shard.URL
		if u, err := url.Parse(place); err == nil && u.Scheme != "" {
			place = path.Base(u.Path) // where the shards lay once: they lie beside the list now
		}
		found := statedShard{of, path.Join(path.Dir(name), place), shard.Samples, shard.Size}
		if found.split == "" {
			var err error
			if found.split, _, err = splitOfPath(found.name); err != nil {
				return nil, err
			}
		}
		stated = append(stated, found)
	}
	return stated, nil
}
