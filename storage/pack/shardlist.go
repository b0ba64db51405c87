package pack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/shards"
)

// statedShard is what another tool's index says of a shard.
type statedShard struct {
	split, name string
	samples     int   // -1 where it is not said
	size        int64 // -1 where it is not said
}

// findShards finds out which shards there are.
func (r *reindexer) findShards(ctx context.Context) ([]statedShard, error) {
	var stated []statedShard
	var err error
	if _, ok := r.sizes["_info.json"]; ok {
		stated, err = r.fromInfo(ctx)
	} else {
		stated, err = r.fromShardLists(ctx)
	}
	if err != nil {
		return nil, err
	}
	if len(stated) == 0 {
		for _, name := range slices.Sorted(maps.Keys(r.sizes)) {
			if strings.HasSuffix(name, ".tar") {
				stated = append(stated, statedShard{splitOf(name), name, -1, -1})
			}
		}
	}
	for i := range stated {
		size, ok := r.sizes[stated[i].name]
		switch {
		case !ok:
			return nil, fmt.Errorf("shard %s is listed but not there: %w", stated[i].name, storage.ErrNotFound)
		case stated[i].size >= 0 && stated[i].size != size:
			return nil, fmt.Errorf("shard %s has %d bytes, its list says %d: %w", stated[i].name, size, stated[i].size, storage.ErrCorrupt)
		}
		r.total += size
	}
	if len(stated) == 0 {
		return nil, fmt.Errorf("there is no .tar object below %q: %w", r.prefix, storage.ErrNotFound)
	}
	return stated, nil
}

// fromInfo reads timm's _info.json.
func (r *reindexer) fromInfo(ctx context.Context) ([]statedShard, error) {
	var info struct {
		Splits map[string]struct {
			Filenames    []string `json:"filenames"`
			ShardLengths []int    `json:"shard_lengths"`
		} `json:"splits"`
	}
	if err := r.decode(ctx, "_info.json", &info); err != nil {
		return nil, err
	}
	var stated []statedShard
	for _, name := range slices.Sorted(maps.Keys(info.Splits)) {
		split := info.Splits[name]
		if len(split.ShardLengths) > 0 && len(split.ShardLengths) != len(split.Filenames) {
			return nil, fmt.Errorf("_info.json: split %s has %d file names and %d lengths", name, len(split.Filenames), len(split.ShardLengths))
		}
		ours := splitName(name)
		if ours == "" {
			ours = name
		}
		for i, file := range split.Filenames {
			shard := statedShard{ours, file, -1, -1}
			if len(split.ShardLengths) > 0 {
				shard.samples = split.ShardLengths[i]
			}
			stated = append(stated, shard)
		}
	}
	return stated, nil
}

// fromShardLists reads webdataset's indexes, one for each split and called by it.
func (r *reindexer) fromShardLists(ctx context.Context) ([]statedShard, error) {
	var stated []statedShard
	for _, name := range slices.Sorted(maps.Keys(r.sizes)) {
		if !strings.HasSuffix(name, ".json") || name == shards.IndexName || r.sizes[name] > storage.MaxGetSize {
			continue
		}
		var list struct {
			Kind   string `json:"__kind__"`
			Shards []struct {
				URL     string `json:"url"`
				Samples *int   `json:"nsamples"`
				Size    *int64 `json:"filesize"`
			} `json:"shardlist"`
		}
		if err := r.decode(ctx, name, &list); err != nil || list.Kind != "wids-shard-index-v1" {
			if errors.Is(err, errNotJSON) || err == nil {
				continue
			}
			return nil, err
		}
		for _, shard := range list.Shards {
			found := statedShard{splitOf(name), path.Join(path.Dir(name), path.Base(shard.URL)), -1, -1}
			if shard.Samples != nil {
				found.samples = *shard.Samples
			}
			if shard.Size != nil {
				found.size = *shard.Size
			}
			stated = append(stated, found)
		}
	}
	return stated, nil
}

var errNotJSON = errors.New("not the JSON that its name promises")

func (r *reindexer) decode(ctx context.Context, name string, into any) error {
	data, err := r.bucket.Get(ctx, shards.KeyPrefix(r.prefix)+name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w: %w", name, errNotJSON, err)
	}
	return nil
}

// splitOf finds a split's name among the words of a file name or its folders; a name without one is of "train".
func splitOf(name string) string {
	words := strings.FieldsFunc(name, func(c rune) bool { return strings.ContainsRune("/-_.", c) })
	for _, word := range slices.Backward(words) {
		if split := splitName(word); split != "" {
			return split
		}
	}
	return "train"
}
