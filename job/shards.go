package job

import (
	"fmt"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/settings"
)

// loader opens a split of the data for one phase.
func (j *Job) loader(split string, c input.Config) (*input.Loader, error) {
	source, err := j.cache.Split(split)
	if err != nil {
		return nil, fmt.Errorf("split %s: %w", split, err)
	}
	if err := source.Require(j.cfg.Window); err != nil {
		return nil, &settings.Error{[]settings.Fault{{settings.Variable("CacheSize"), j.cfg.CacheSize.String(), err.Error()}}}
	}
	c.Window, c.BadLimit, c.Log = j.cfg.Window, j.cfg.BadLimit, j.log.With("split", split)
	return input.NewLoader(source, c)
}
